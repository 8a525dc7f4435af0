package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/inngest-gateway/inngest-gateway/bench/rig"
)

// One worker in one process, upstream connections kept, bodies up to the
// gateway's limit and not on disk, no log. It verifies nothing.
const nginxConfig = `
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
	access_log off;
	server_tokens off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	client_max_body_size 8m;
	client_body_buffer_size 8m;
	proxy_max_temp_file_size 0;
	keepalive_requests 1000000000;
	upstream app {
		server %[2]s;
		keepalive 1024;
		keepalive_requests 1000000000;
	}
	server {
		listen %[3]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}
	}
}
`

func startNginx(ctx context.Context, dir, app string) (*rig.Process, string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, "", err
	}
	addresses, err := rig.FreeAddresses(1)
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, nginxConfig, dir, app, addresses[0]), 0o600); err != nil {
		return nil, "", err
	}
	p, err := rig.Start("nginx", nil, program, "-c", file, "-p", dir, "-e", "stderr")
	if err != nil {
		return nil, "", err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if conn, err := net.Dial("tcp", addresses[0]); err == nil {
			return p, addresses[0], conn.Close()
		}
		select {
		case <-ctx.Done():
			return p, "", ctx.Err()
		case <-tick.C:
		}
		if err := p.Running(); err != nil {
			return p, "", err
		}
	}
	return p, "", fmt.Errorf("nginx does not listen\n%s", p.Output())
}
