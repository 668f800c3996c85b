// SPDX-License-Identifier: Apache-2.0

// Command bench-client loads a registry as its clients do, faster than a server on one core can take it, and prints one line
// of JSON about it:
//
//	bench-client images   -base URL -repositories FILE -images N …  small images by many clients at once
//	bench-client blob     -base URL -repository NAME -size BYTES …  large blobs, in one body or in chunks, in some streams
//	bench-client requests -base URL -requests FILE -seconds N …     the requests of a file, also HEAD, also at a fixed rate
//	bench-client logins   -base URL -requests FILE -seconds N …     a password for a token, the token for a HEAD
//	bench-client pulls    -base URL -repository NAME …              a whole image again and again, by many clients at once
//
// Every byte it pushes is random and is hashed before the clock starts.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func random(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

func percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return milliseconds(sorted[min(int(float64(len(sorted))*share), len(sorted)-1)])
}

func milliseconds(duration time.Duration) float64 { return float64(duration.Microseconds()) / 1000 }

func tell(figures map[string]any) error { return json.NewEncoder(os.Stdout).Encode(figures) }

// tellTimes prints how many operations there were and how long they took.
func tellTimes(count string, took []time.Duration, seconds float64) error {
	slices.Sort(took)
	return tell(map[string]any{
		count: len(took), "seconds": seconds, "p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99),
	})
}

func main() {
	commands := map[string]func([]string) error{
		"images": pushImages, "blob": pushLargeBlobs, "requests": sendRequests, "logins": logIn, "pulls": pullImages,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench-client images|blob|requests|logins|pulls [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-client:", err)
		os.Exit(1)
	}
}
