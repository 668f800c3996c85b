# SPDX-License-Identifier: Apache-2.0
"""The benchmark: Longshore beside its peers, in the same run and on the same core (`python -m bench --help`)."""
