//go:build tools

// SPDX-License-Identifier: GPL-3.0-or-later

// Package tools pins mongodump and mongorestore for the tests.
package tools

import (
	_ "github.com/mongodb/mongo-tools/mongodump/main"
	_ "github.com/mongodb/mongo-tools/mongorestore/main"
)
