// SPDX-License-Identifier: Apache-2.0

// Command bench-client pushes to a registry as docker does, faster than a server on one core can take it, and prints one
// line of JSON about it:
//
//	bench-client images -base URL -repositories FILE -images N …   small images by many clients at once
//	bench-client blob   -base URL -repository NAME -size BYTES …   one large blob, in one body or in chunks
//	bench-client heads  -base URL -requests FILE -seconds N …      HEAD requests, which wrk waits for the body of
//
// Every byte it pushes is random and is hashed before the clock starts.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
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

// pushBlob goes docker's way: HEAD, POST, PATCH (one body, or chunks of that many bytes), PUT. It returns how long the bytes
// and the final PUT took.
func (r *registry) pushBlob(to target, content []byte, digest string, chunk int) (bytesTook, putTook time.Duration, err error) {
	path := "/v2/" + to.Repository + "/blobs/"
	if _, err = r.do("HEAD", path+digest, to, nil, "", 404); err != nil {
		return
	}
	answer, err := r.do("POST", path+"uploads/", to, nil, "", 202)
	if err != nil {
		return
	}
	started := time.Now()
	if chunk <= 0 {
		chunk = len(content)
	}
	for part := range slices.Chunk(content, chunk) {
		if answer, err = r.do("PATCH", answer.Get("Location"), to, part, "application/octet-stream", 202); err != nil {
			return
		}
	}
	bytesTook = time.Since(started)
	location, err := url.Parse(answer.Get("Location"))
	if err != nil {
		return
	}
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	started = time.Now()
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
		if _, _, err := r.pushBlob(made.to, content, made.Blobs[index], 0); err != nil {
			return err
		}
	}
	_, err := r.do("PUT", "/v2/"+made.Repository+"/manifests/"+made.Tag, made.to, made.manifest, manifestType, 201)
	return err
}

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
	return milliseconds(sorted[min(int(float64(len(sorted))*share), len(sorted)-1)])
}

func milliseconds(duration time.Duration) float64 { return float64(duration.Microseconds()) / 1000 }

func pushImages(arguments []string) error {
	flags := flag.NewFlagSet("images", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	list := flags.String("repositories", "", `file with [{"repository": …, "authorization": …}, …]; images go round them`)
	count := flags.Int("images", 100, "how many images")
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
	took, seconds, err := storm(newRegistry(*base, *clients), images, *clients, acknowledged)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"images": len(took), "seconds": seconds, "p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99),
	})
}

// storm pushes the images and returns how long each took, sorted; after an error no client begins another image.
func storm(to *registry, images []*image, clients int, acknowledged io.Writer) ([]time.Duration, float64, error) {
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
				if number >= len(images) {
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
	slices.Sort(took)
	return took, time.Since(started).Seconds(), failure
}

func pushLargeBlob(arguments []string) error {
	flags := flag.NewFlagSet("blob", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	repository := flags.String("repository", "", "where to push")
	authorization := flags.String("authorization", "", "value of the Authorization header")
	size := flags.Int("size", 256<<20, "bytes of the blob")
	chunk := flags.Int("chunk", 0, "bytes of each PATCH; 0 sends one body")
	seed := flags.Uint64("seed", 1, "the same seed makes the same bytes")
	flags.Parse(arguments)
	content := make([]byte, *size)
	if _, err := io.ReadFull(random(*seed), content); err != nil {
		return err
	}
	digest := digestOf(content)
	to := target{*repository, *authorization}
	started := time.Now()
	bytesTook, putTook, err := newRegistry(*base, 1).pushBlob(to, content, digest, *chunk)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"digest": digest, "bytes": *size, "seconds": time.Since(started).Seconds(),
		"patch_seconds": bytesTook.Seconds(), "put_ms": milliseconds(putTook),
	})
}

func sendHeads(arguments []string) error {
	flags := flag.NewFlagSet("heads", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	file := flags.String("requests", "", "file with a line for each: method, path, Authorization (or -), separated by tabs")
	connections := flags.Int("connections", 64, "how many send at once")
	seconds := flags.Float64("seconds", 3, "how long")
	flags.Parse(arguments)
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	var paths []string
	var targets []target
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		paths = append(paths, fields[1])
		targets = append(targets, target{Authorization: strings.TrimPrefix(fields[2], "-")})
	}
	to := newRegistry(*base, *connections)
	took := make([][]time.Duration, *connections)
	failures := make([]error, *connections)
	var next atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for own := range *connections {
		group.Go(func() {
			for time.Since(started).Seconds() < *seconds && failures[own] == nil {
				number := int(next.Add(1)-1) % len(paths)
				began := time.Now()
				_, failures[own] = to.do("HEAD", paths[number], targets[number], nil, "", 200)
				took[own] = append(took[own], time.Since(began))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(started).Seconds()
	all := slices.Concat(took...)
	slices.Sort(all)
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"requests": len(all), "seconds": elapsed, "p50_ms": percentile(all, 0.5), "p99_ms": percentile(all, 0.99),
	})
}

func main() {
	commands := map[string]func([]string) error{"images": pushImages, "blob": pushLargeBlob, "heads": sendHeads}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: bench-client images|blob|heads [flags]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-client:", err)
		os.Exit(1)
	}
}
