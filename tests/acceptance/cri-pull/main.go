// SPDX-License-Identifier: Apache-2.0

// Command cri-pull asks a container runtime for an image exactly as a kubelet does: one PullImage call of the
// Kubernetes runtime interface, with the credentials of an image pull secret (a ".dockerconfigjson" file) in AuthConfig.
// It prints what the runtime then knows of the image as one line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

type pullSecret struct {
	Auths map[string]struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Auth     string `json:"auth"`
	} `json:"auths"`
}

type pulledImage struct {
	ID          string   `json:"id"`
	RepoTags    []string `json:"repo_tags"`
	RepoDigests []string `json:"repo_digests"`
	Size        uint64   `json:"size"`
}

func main() {
	socket := flag.String("socket", "/run/containerd/containerd.sock", "path of the runtime's socket")
	secret := flag.String("secret", "", "path of a .dockerconfigjson file; without it the pull is anonymous")
	timeout := flag.Duration("timeout", 2*time.Minute, "how long the whole call may take")
	remove := flag.Bool("remove", false, "remove the image from the runtime after the answer was printed")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: cri-pull [flags] IMAGE")
		os.Exit(2)
	}
	if err := run(*socket, *secret, flag.Arg(0), *timeout, *remove); err != nil {
		fmt.Fprintln(os.Stderr, "cri-pull:", err)
		os.Exit(1)
	}
}

func run(socket, secret, image string, timeout time.Duration, remove bool) error {
	auth, err := authFor(secret, image)
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	images := runtime.NewImageServiceClient(connection)
	spec := &runtime.ImageSpec{Image: image}
	pulled, err := images.PullImage(ctx, &runtime.PullImageRequest{Image: spec, Auth: auth})
	if err != nil {
		return err
	}
	status, err := images.ImageStatus(ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: pulled.ImageRef}})
	if err != nil {
		return err
	}
	if status.Image == nil {
		return fmt.Errorf("the runtime says it pulled %s but doesn't know it", pulled.ImageRef)
	}
	answer := pulledImage{
		ID: status.Image.Id, RepoTags: status.Image.RepoTags, RepoDigests: status.Image.RepoDigests, Size: status.Image.Size,
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		return err
	}
	if remove {
		_, err = images.RemoveImage(ctx, &runtime.RemoveImageRequest{Image: spec})
	}
	return err
}

// authFor reads a pull secret as the kubelet does: the entry whose host is the image's.
func authFor(path, image string) (*runtime.AuthConfig, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var parsed pullSecret
	if err := json.Unmarshal(content, &parsed); err != nil {
		return nil, fmt.Errorf("%s is not a .dockerconfigjson: %w", path, err)
	}
	host, _, _ := strings.Cut(image, "/")
	entry, ok := parsed.Auths[host]
	if !ok {
		return nil, fmt.Errorf("%s has no entry for %s", path, host)
	}
	return &runtime.AuthConfig{Username: entry.Username, Password: entry.Password, Auth: entry.Auth}, nil
}
