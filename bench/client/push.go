// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// target is one repository and what opens it: the value of the Authorization header, empty for none.
type target struct {
	Repository    string `json:"repository"`
	Authorization string `json:"authorization"`
}

// registry is where the requests go.
type registry struct {
	base   string
	client *http.Client
}

func newRegistry(base string, connections int) *registry {
	transport := &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, WriteBufferSize: 256 << 10,
	}
	return &registry{base: base, client: &http.Client{Transport: transport, Timeout: 10 * time.Minute}}
}

// do sends one request and returns the answer's headers; any status but those wanted is an error.
func (r *registry) do(method, address string, to target, body []byte, contentType string, wanted ...int) (http.Header, error) {
	if address[0] == '/' {
		address = r.base + address
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", manifestType)
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if to.Authorization != "" {
		request.Header.Set("Authorization", to.Authorization)
	}
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(wanted, answer.StatusCode) {
		return nil, fmt.Errorf("%s %s: %s: %s", method, address, answer.Status, text)
	}
	return answer.Header, nil
}

// pushBlob goes docker's way: HEAD, POST, PATCH (one body, or chunks of that many bytes), PUT. It returns how long the
// final PUT took.
func (r *registry) pushBlob(to target, content []byte, digest string, chunk int) (putTook time.Duration, err error) {
	path := "/v2/" + to.Repository + "/blobs/"
	if _, err = r.do("HEAD", path+digest, to, nil, "", 404); err != nil {
		return
	}
	answer, err := r.do("POST", path+"uploads/", to, nil, "", 202)
	if err != nil {
		return
	}
	if chunk <= 0 {
		chunk = len(content)
	}
	for part := range slices.Chunk(content, chunk) {
		if answer, err = r.do("PATCH", answer.Get("Location"), to, part, "application/octet-stream", 202); err != nil {
			return
		}
	}
	location, err := url.Parse(answer.Get("Location"))
	if err != nil {
		return
	}
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	started := time.Now()
	_, err = r.do("PUT", location.String(), to, nil, "", 201)
	putTook = time.Since(started)
	return
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// image is what was pushed, for whoever wants to read it again.
type image struct {
	Repository string   `json:"repository"`
	Tag        string   `json:"tag"`
	Digest     string   `json:"digest"`
	Blobs      []string `json:"blobs"`
	manifest   []byte
	contents   [][]byte
	to         target
}

func makeImage(source io.Reader, to target, number, size int, prefix string) (*image, error) {
	made := &image{Repository: to.Repository, Tag: fmt.Sprintf("%s%d", prefix, number), to: to}
	var described []descriptor
	for _, mediaType := range []string{configType, layerType} {
		content := make([]byte, size)
		if _, err := io.ReadFull(source, content); err != nil {
			return nil, err
		}
		digest := digestOf(content)
		made.contents = append(made.contents, content)
		made.Blobs = append(made.Blobs, digest)
		described = append(described, descriptor{mediaType, digest, size})
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": described[0], "layers": described[1:],
	})
	made.manifest, made.Digest = manifest, digestOf(manifest)
	return made, err
}

func (r *registry) pushImage(made *image) error {
	for index, content := range made.contents {
		if _, err := r.pushBlob(made.to, content, made.Blobs[index], 0); err != nil {
			return err
		}
	}
	_, err := r.do("PUT", "/v2/"+made.Repository+"/manifests/"+made.Tag, made.to, made.manifest, manifestType, 201)
	return err
}

func pushImages(arguments []string) error {
	flags := flag.NewFlagSet("images", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	list := flags.String("repositories", "", `file with [{"repository": …, "authorization": …}, …]; images go round them`)
	count := flags.Int("images", 100, "how many images at most")
	longest := flags.Duration("longest", time.Hour, "after so long no client begins another image")
	clients := flags.Int("clients", 16, "how many push at once")
	size := flags.Int("size", 1024, "bytes of each of an image's two blobs")
	seed := flags.Uint64("seed", 1, "the same seed makes the same bytes")
	prefix := flags.String("prefix", "t", "what tags begin with; a number follows")
	output := flags.String("output", "", "file for what was pushed, one line of JSON for each image as it is acknowledged")
	flags.Parse(arguments)
	text, err := os.ReadFile(*list)
	if err != nil {
		return err
	}
	var targets []target
	if err := json.Unmarshal(text, &targets); err != nil {
		return err
	}
	source := random(*seed)
	images := make([]*image, *count)
	for number := range images {
		if images[number], err = makeImage(source, targets[number%len(targets)], number, *size, *prefix); err != nil {
			return err
		}
	}
	acknowledged := io.Discard
	if *output != "" {
		file, err := os.Create(*output)
		if err != nil {
			return err
		}
		defer file.Close()
		acknowledged = file
	}
	took, seconds, err := storm(newRegistry(*base, *clients), images, *clients, *longest, acknowledged)
	if err != nil {
		return err
	}
	return tellTimes("images", took, seconds)
}

// storm pushes the images and returns how long each took; after the longest time or an error no client begins another.
func storm(
	to *registry, images []*image, clients int, longest time.Duration, acknowledged io.Writer,
) ([]time.Duration, float64, error) {
	var next atomic.Int64
	var lock sync.Mutex
	var failure error
	var took []time.Duration
	var group sync.WaitGroup
	lines := json.NewEncoder(acknowledged)
	started := time.Now()
	for range clients {
		group.Go(func() {
			for {
				number := int(next.Add(1)) - 1
				if number >= len(images) || time.Since(started) > longest {
					return
				}
				began := time.Now()
				err := to.pushImage(images[number])
				lock.Lock()
				if err == nil {
					took = append(took, time.Since(began))
					err = lines.Encode(images[number])
				}
				if err != nil && failure == nil {
					failure = err
					next.Store(int64(len(images)))
				}
				lock.Unlock()
			}
		})
	}
	group.Wait()
	return took, time.Since(started).Seconds(), failure
}

func pushLargeBlobs(arguments []string) error {
	flags := flag.NewFlagSet("blob", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	repository := flags.String("repository", "", "where to push")
	authorization := flags.String("authorization", "", "value of the Authorization header")
	size := flags.Int("size", 256<<20, "bytes of each blob")
	chunk := flags.Int("chunk", 0, "bytes of each PATCH; 0 sends one body")
	streams := flags.Int("streams", 1, "how many blobs are pushed at once")
	seed := flags.Uint64("seed", 1, "the same seed makes the same bytes")
	flags.Parse(arguments)
	contents := make([][]byte, *streams)
	digests := make([]string, *streams)
	source := random(*seed)
	for stream := range contents {
		contents[stream] = make([]byte, *size)
		if _, err := io.ReadFull(source, contents[stream]); err != nil {
			return err
		}
		digests[stream] = digestOf(contents[stream])
	}
	to := newRegistry(*base, *streams)
	puts := make([]time.Duration, *streams)
	failures := make([]error, *streams)
	var group sync.WaitGroup
	started := time.Now()
	for stream, content := range contents {
		group.Go(func() {
			puts[stream], failures[stream] = to.pushBlob(target{*repository, *authorization}, content, digests[stream], *chunk)
		})
	}
	group.Wait()
	seconds := time.Since(started).Seconds()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return tell(map[string]any{
		"digests": digests, "bytes": *size * *streams, "seconds": seconds, "put_ms": milliseconds(slices.Max(puts)),
	})
}
