// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const readBuffer = 256 << 10

// connection is one keep-alive connection on which requests are written as they stand and answers are looked at only as far
// as needed: the load generator has one core, and a client that keeps every header would be slower than the server.
type connection struct {
	socket net.Conn
	reader *bufio.Reader
	host   string
}

func dial(base string) (*connection, error) {
	host := strings.TrimPrefix(base, "http://")
	socket, err := net.DialTimeout("tcp", host, 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &connection{socket, bufio.NewReaderSize(socket, readBuffer), host}, nil
}

// dialAll opens the connections before the clock starts.
func dialAll(base string, count int) ([]*connection, error) {
	opened := make([]*connection, count)
	for number := range opened {
		var err error
		if opened[number], err = dial(base); err != nil {
			return nil, err
		}
	}
	return opened, nil
}

// request is what is written for one request; a header without a value is left out.
func request(host, method, path, authorization, contentRange string) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nAccept: %s, %s\r\n", method, path, host, manifestType, indexType)
	if authorization != "" {
		fmt.Fprintf(&text, "Authorization: %s\r\n", authorization)
	}
	if contentRange != "" {
		fmt.Fprintf(&text, "Range: %s\r\n", contentRange)
	}
	if method == http.MethodPost {
		text.WriteString("Content-Length: 0\r\n")
	}
	text.WriteString("\r\n")
	return text.Bytes()
}

// begin sends a request and reads the answer's head: the status and how many bytes of body follow a request that isn't HEAD.
func (c *connection) begin(request []byte) (status, length int, err error) {
	if err = c.socket.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return
	}
	if _, err = c.socket.Write(request); err != nil {
		return
	}
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return
	}
	if len(line) < 12 {
		return 0, 0, fmt.Errorf("no status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return
	}
	length = -1
	for {
		if line, err = c.reader.ReadSlice('\n'); err != nil {
			return
		}
		if len(line) <= 2 {
			break
		}
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err != nil {
				return
			}
		}
	}
	if length < 0 && status != http.StatusNoContent {
		err = errors.New("the answer doesn't tell its length")
	}
	return
}

// exchange sends a request and reads its answer to the end; only these statuses are no error. The body is kept if wanted.
func (c *connection) exchange(request []byte, keep bool, wanted ...int) ([]byte, error) {
	status, length, err := c.begin(request)
	if err != nil {
		return nil, err
	}
	right := false
	for _, one := range wanted {
		right = right || one == status
	}
	if !right {
		line, _, _ := bytes.Cut(request, []byte("\r\n"))
		return nil, fmt.Errorf("%s: %d", line, status)
	}
	if bytes.HasPrefix(request, []byte("HEAD ")) || length <= 0 {
		return nil, nil
	}
	if !keep {
		_, err = c.reader.Discard(length)
		return nil, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(c.reader, body)
	return body, err
}

// lines reads a file of requests; its fields are separated by tabs, and "-" stands for nothing.
func lines(file string) ([][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found [][]string
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for index, field := range fields {
			if field == "-" {
				fields[index] = ""
			}
		}
		found = append(found, fields)
	}
	return found, nil
}

// load has every connection do one operation after the other for so long, and returns how long each took. With a rate each
// operation has a time at which it is due, and counts from then on also when the one before it isn't over: a server that falls
// behind can't hide it.
func load(
	opened []*connection, seconds, rate float64, operate func(*connection, int) error,
) ([]time.Duration, float64, error) {
	took := make([][]time.Duration, len(opened))
	failures := make([]error, len(opened))
	var next atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	end := started.Add(time.Duration(seconds * float64(time.Second)))
	for own, connection := range opened {
		group.Go(func() {
			for failures[own] == nil {
				number := int(next.Add(1)) - 1
				began := time.Now()
				if rate > 0 {
					due := started.Add(time.Duration(float64(number) / rate * float64(time.Second)))
					if due.After(began) {
						time.Sleep(time.Until(due))
						// That a timer was late isn't the server's fault.
						began = time.Now()
					} else {
						began = due
					}
				}
				if began.After(end) {
					return
				}
				failures[own] = operate(connection, number)
				took[own] = append(took[own], time.Since(began))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(started).Seconds()
	var all []time.Duration
	for _, times := range took {
		all = append(all, times...)
	}
	return all, elapsed, errors.Join(failures...)
}

func sendRequests(arguments []string) error {
	flags := flag.NewFlagSet("requests", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	file := flags.String("requests", "", "file with a line for each: method, path, Authorization")
	connections := flags.Int("connections", 64, "how many send at once")
	seconds := flags.Float64("seconds", 3, "how long")
	rate := flags.Float64("rate", 0, "requests each second; 0: as many as the server takes")
	flags.Parse(arguments)
	wanted, err := lines(*file)
	if err != nil {
		return err
	}
	opened, err := dialAll(*base, *connections)
	if err != nil {
		return err
	}
	requests := make([][]byte, len(wanted))
	for number, fields := range wanted {
		requests[number] = request(opened[0].host, fields[0], fields[1], fields[2], "")
	}
	took, elapsed, err := load(opened, *seconds, *rate, func(on *connection, number int) error {
		_, err := on.exchange(requests[number%len(requests)], false, 200, 201)
		return err
	})
	if err != nil {
		return err
	}
	return tellTimes("requests", took, elapsed)
}

func logIn(arguments []string) error {
	flags := flag.NewFlagSet("logins", flag.ExitOnError)
	base := flags.String("base", "", "http://host:port of the registry")
	file := flags.String("requests", "", "file with a line for each: path of the token, Authorization, path of the HEAD")
	connections := flags.Int("connections", 64, "how many log in at once")
	seconds := flags.Float64("seconds", 3, "how long")
	flags.Parse(arguments)
	wanted, err := lines(*file)
	if err != nil {
		return err
	}
	opened, err := dialAll(*base, *connections)
	if err != nil {
		return err
	}
	took, elapsed, err := load(opened, *seconds, 0, func(on *connection, number int) error {
		fields := wanted[number%len(wanted)]
		body, err := on.exchange(request(on.host, "GET", fields[0], fields[1], ""), true, 200)
		if err != nil {
			return err
		}
		token, err := tokenOf(body)
		if err != nil {
			return err
		}
		_, err = on.exchange(request(on.host, "HEAD", fields[2], "Bearer "+token, ""), false, 200)
		return err
	})
	if err != nil {
		return err
	}
	return tellTimes("logins", took, elapsed)
}
