package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/licensecheck"
)

const mit = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including without
limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the
Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`

// Licences are found in the root of a module and next to the packages that are used, and nowhere else; equal texts are
// written once; what has none, or none that is recognised, is an error.
func TestNotice(t *testing.T) {
	root := t.TempDir()
	for path, text := range map[string]string{
		"a/LICENSE":         "Copyright Ann\n\n" + mit,
		"a/LICENSE.go":      "package a",
		"a/used/COPYING":    "Copyright Bob\r\n\r\n" + mit,
		"a/unused/LICENSE":  "Copyright Eve\n\n" + mit,
		"b/LICENCE.txt":     "Copyright Ann  \n\n" + mit + "\n\n",
		"c/README":          "no licence",
		"d/LICENSE":         "Ask me.",
		"e/licenses/GPL":    "not where licences are looked for",
		"e/used/UNLICENSED": "nor is this one's name a licence's",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	of := func(name string) module {
		at := filepath.Join(root, name)
		return module{name + " v1.0.0", at, []string{at, filepath.Join(at, "used")}}
	}
	// All licences would take seconds to compile.
	licences := slices.DeleteFunc(licensecheck.BuiltinLicenses(), func(l licensecheck.License) bool {
		return l.ID != "MIT"
	})
	scanner, err := licensecheck.NewScanner(licences)
	if err != nil {
		t.Fatal(err)
	}
	text, err := notice([]module{of("a"), of("b")}, "OF THE PAGE\n", scanner.Scan)
	if err != nil {
		t.Fatal(err)
	}
	for want, count := range map[string]int{
		"  a v1.0.0\n      MIT [1] [2]\n": 1, "  b v1.0.0\n      MIT [1]\n": 1, "Copyright Ann": 1, "Copyright Bob": 1,
		"Copyright Eve": 0, "OF THE PAGE": 1, "OpenSlide": 1, "\r": 0,
	} {
		if got := strings.Count(string(text), want); got != count {
			t.Errorf("%q is there %d times, want %d:\n%s", want, got, count, text)
		}
	}
	for name, want := range map[string]string{
		"c": "c v1.0.0 has no licence", "d": "no licence is recognised", "e": "e v1.0.0 has no licence",
	} {
		if _, err := notice([]module{of(name)}, "", scanner.Scan); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
