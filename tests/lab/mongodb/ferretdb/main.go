// SPDX-License-Identifier: GPL-3.0-or-later

// ferretdb serves MongoDB's protocol from SQLite files, for the tests: ferretdb ADDRESS|SOCKET DIRECTORY
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ferretdb ADDRESS|SOCKET DIRECTORY")
		os.Exit(2)
	}
	listener := ferretdb.ListenerConfig{TCP: os.Args[1]}
	if strings.HasPrefix(os.Args[1], "/") {
		listener = ferretdb.ListenerConfig{Unix: os.Args[1]}
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  listener,
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[2] + "/",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Run(stopped); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
