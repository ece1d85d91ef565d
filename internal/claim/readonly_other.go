//go:build !unix

package claim

import "io/fs"

var errReadOnly = fs.ErrPermission
