// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// piece is how much of a body is read between two looks at the clock.
const piece = readBuffer

// patience is how long a server may stand still.
const patience = 30 * time.Second

func tokenOf(body []byte) (string, error) {
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" {
		return "", errors.New("the answer has no token")
	}
	return answer.Token, nil
}

// puller is one client that pulls the same image, or the same end of a blob, for ever.
type puller struct {
	on                        *connection
	repository, authorization string
	bytes, working            *atomic.Int64
	over                      *atomic.Bool
	begun                     bool
}

func (p *puller) get(path, contentRange string) []byte {
	return request(p.on.host, "GET", "/v2/"+p.repository+path, p.authorization, contentRange)
}

// manifest gets an index or a manifest and parses it.
func (p *puller) manifest(reference string, into any) error {
	body, err := p.on.exchange(p.get("/manifests/"+reference, ""), true, 200)
	if err != nil {
		return err
	}
	p.bytes.Add(int64(len(body)))
	return json.Unmarshal(body, into)
}

// blob reads a blob, or its end from an offset on, or what comes of it before the time is over.
func (p *puller) blob(described descriptor, offset int) error {
	wanted, contentRange := 200, ""
	if offset > 0 {
		wanted, contentRange = 206, fmt.Sprintf("bytes=%d-", offset)
		described.Size -= offset
	}
	status, length, err := p.on.begin(p.get("/blobs/"+described.Digest, contentRange))
	if err != nil {
		return err
	}
	if !p.begun {
		p.begun = true
		p.working.Add(1)
	}
	if status != wanted || length != described.Size {
		return fmt.Errorf("blob %s: %d with %d bytes", described.Digest, status, length)
	}
	for length > 0 && !p.over.Load() {
		read, err := p.on.reader.Discard(min(piece, length))
		if err != nil {
			return err
		}
		length -= read
		p.bytes.Add(int64(read))
	}
	return nil
}

func (p *puller) pull(tag string) error {
	var index struct{ Manifests []descriptor }
	if err := p.manifest(tag, &index); err != nil {
		return err
	}
	if len(index.Manifests) == 0 {
		return errors.New("the image has no index")
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := p.manifest(index.Manifests[0].Digest, &manifest); err != nil {
		return err
	}
	for _, described := range append([]descriptor{manifest.Config}, manifest.Layers...) {
		if err := p.blob(described, 0); err != nil || p.over.Load() {
			return err
		}
	}
	return nil
}

// pullImages prints two lines: one when every client has begun with a blob, one when the time is over. What happened between them is
// what counts: at both moments the buffers on the way are as full.
func pullImages(arguments []string) error {
	flags := flag.NewFlagSet("pulls", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	repository := flags.String("repository", "", "of the image")
	tag := flags.String("tag", "", "of the image's index")
	authorization := flags.String("authorization", "", "value of the Authorization header")
	blob := flags.String("blob", "", "the digest of a blob that is pulled instead")
	size := flags.Int("size", 0, "its bytes")
	offset := flags.Int("offset", 0, "from which of them on")
	clients := flags.Int("clients", 16, "how many pull at once, each on one connection")
	warm := flags.Float64("warm", 0.5, "seconds until the first line, at least")
	seconds := flags.Float64("seconds", 1, "seconds from the first line to the second")
	flags.Parse(arguments)
	opened, err := dialAll(*base, *clients)
	if err != nil {
		return err
	}
	var bytes, working atomic.Int64
	var over atomic.Bool
	failures := make([]error, *clients)
	var group sync.WaitGroup
	started := time.Now()
	for own, connection := range opened {
		group.Go(func() {
			one := puller{connection, *repository, *authorization, &bytes, &working, &over, false}
			for failures[own] == nil && !over.Load() {
				if *blob != "" {
					failures[own] = one.blob(descriptor{Digest: *blob, Size: *size}, *offset)
				} else {
					failures[own] = one.pull(*tag)
				}
			}
		})
	}
	before := int64(-1)
	for _, wait := range []float64{*warm, *seconds} {
		time.Sleep(time.Duration(wait * float64(time.Second)))
		// However short the time is: what is compared with it has to be something.
		for (bytes.Load() == before || working.Load() < int64(*clients)) && time.Since(started) < patience {
			time.Sleep(10 * time.Millisecond)
		}
		before = bytes.Load()
		err := tell(map[string]any{"bytes": before, "seconds": time.Since(started).Seconds()})
		if err != nil {
			return err
		}
	}
	over.Store(true)
	// A server that stands still is waited for no longer than it takes to see that it does.
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	select {
	case <-finished:
		return errors.Join(failures...)
	case <-time.After(patience):
		return fmt.Errorf("some clients got nothing for %s", patience)
	}
}
