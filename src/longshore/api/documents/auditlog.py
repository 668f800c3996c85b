# SPDX-License-Identifier: Apache-2.0
"""The documents of the tag `auditlog`."""

from __future__ import annotations

from longshore.api.serialising import Shown, Time, moment
from longshore.audit.models import Record


class AuditLog(Shown, frozen=True, kw_only=True):
    """An entry in the form of Harbor before 2.13."""

    id: int = 0
    username: str = ""
    resource: str = ""
    resource_type: str = ""
    operation: str = ""
    op_time: Time


class AuditLogExt(Shown, frozen=True, kw_only=True):
    """An entry."""

    id: int = 0
    username: str = ""
    resource: str = ""
    resource_type: str = ""
    operation: str = ""
    operation_description: str = ""
    operation_result: bool
    op_time: Time


class AuditLogEventType(Shown, frozen=True, kw_only=True):
    """A type of entries, as `disabled_audit_log_event_types` takes it."""

    event_type: str = ""


def shown_log(record: Record) -> AuditLog:
    """An entry in the old form."""
    entry = record.entry
    return AuditLog(
        id=record.id,
        username=entry.username,
        resource=entry.resource,
        resource_type=entry.resource_type,
        operation=entry.operation,
        op_time=moment(entry.at),
    )


def shown_ext(record: Record) -> AuditLogExt:
    """An entry."""
    entry = record.entry
    return AuditLogExt(
        id=record.id,
        username=entry.username,
        resource=entry.resource,
        resource_type=entry.resource_type,
        operation=entry.operation,
        operation_description=entry.description,
        operation_result=entry.success,
        op_time=moment(entry.at),
    )
