package evaluate

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/histdist/histdist/data/imagefile"
)

func openTest(t *testing.T, path string) *cache {
	t.Helper()
	c, err := openCache(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// named is the key of a record for tests.
func named(parts ...string) key { return key(sha256.Sum256([]byte(strings.Join(parts, " ")))) }

// What was put is there after the file was closed and opened, in whatever order and however often.
func TestCacheKeeps(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(folder, "values.bin")
		if err := os.RemoveAll(path); err != nil {
			rt.Fatal(err)
		}
		want := map[string][]byte{}
		for range rapid.IntRange(1, 3).Draw(rt, "times opened") {
			c := openTest(t, path)
			for _, name := range rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})).Draw(rt, "names") {
				data := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "data")
				if err := c.put(named(name), data); err != nil {
					rt.Fatal(err)
				}
				if _, ok := want[name]; !ok { // the first stays
					want[name] = data
				}
			}
			for name, data := range want {
				got, ok, err := c.get(named(name))
				if err != nil || !ok || !bytes.Equal(got, data) {
					rt.Fatalf("%s: %v %v %v, want %v", name, got, ok, err, data)
				}
			}
			if _, ok, _ := c.get(named("never")); ok {
				rt.Fatal("a record that was never put")
			}
			if err := c.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

// A file that is cut off anywhere keeps its whole records, and takes new ones.
func TestCacheTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "values.bin")
	c := openTest(t, path)
	var ends []int64
	for i := range 3 {
		if err := write(c, named("record", string(rune('a'+i))), []float64{float64(i), 1, 2}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, c.end)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for length := range len(whole) + 1 {
		if err := os.WriteFile(path, whole[:length], 0o666); err != nil {
			t.Fatal(err)
		}
		c := openTest(t, path)
		for i, end := range ends {
			if got := c.has(named("record", string(rune('a'+i)))); got != (int64(length) >= end) {
				t.Fatalf("%d of %d bytes: record %d there: %v", length, len(whole), i, got)
			}
		}
		if err := write(c, named("new"), []float64{7}); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c = openTest(t, path)
		if got, ok, err := read[float64](c, named("new")); err != nil || !ok || got[0] != 7 {
			t.Fatalf("%d bytes: a record put afterwards: %v %v %v", length, got, ok, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A flipped bit makes its record, and what follows, unknown, never wrong.
func TestCacheDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "values.bin")
	c := openTest(t, path)
	if err := write(c, named("a"), []float64{1}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := len(cacheMagic); at < len(whole); at++ {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		if err := os.WriteFile(path, damaged, 0o666); err != nil {
			t.Fatal(err)
		}
		c := openTest(t, path)
		if len(c.places) != 0 {
			t.Fatalf("byte %d is damaged, and there are %d records", at, len(c.places))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCacheIsOfOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "values.bin")
	c := openTest(t, path)
	defer c.Close()
	if _, err := openCache(path); !errors.Is(err, errInUse) {
		t.Errorf("a second one: %v", err)
	}
}

func FuzzCache(f *testing.F) {
	path := filepath.Join(f.TempDir(), "seed.bin")
	c, err := openCache(path)
	if err != nil {
		f.Fatal(err)
	}
	if err := c.put(named("a"), []byte("some bytes")); err != nil {
		f.Fatal(err)
	}
	if err := c.Close(); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)-3])
	f.Add([]byte("hdcache1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "values.bin")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		c, err := openCache(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.put(named("mine"), []byte{1, 2}); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if c, err = openCache(path); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, ok, err := c.get(named("mine")); err != nil || !ok || len(got) == 0 {
			t.Fatalf("what was put is gone: %v %v %v", got, ok, err)
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("name,patient,real_sha256,virtual_sha256,he_sha256,ssim,psnr\na,p,0,1,2,0.5,+Inf\nb,,0,1,,,3\n"))
	f.Add([]byte("name,patient,real_sha256,virtual_sha256,he_sha256\n"))
	f.Add([]byte("name\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parseTable(data)
		if err != nil {
			return
		}
		for _, c := range table.Columns {
			if len(c.Values) != len(table.Rows) {
				t.Fatalf("column %q has %d values for %d rows", c.ID, len(c.Values), len(table.Rows))
			}
		}
	})
}

// What the default pattern makes of names, and which files are pairs.
func TestSlidePattern(t *testing.T) {
	folder := t.TempDir()
	names := map[string]string{
		"1M2102_12_7": "1M2102", "P005_1_35": "P005", "000": "000", "sub/S-3_4": "S", "A12_b": "A12_b", "x": "x",
		"2M01_3-4_": "2M01",
	}
	for name := range names {
		for _, set := range []string{"real", "fake"} {
			path := filepath.Join(folder, set, name+map[string]string{"real": ".jpg", "fake": ".png"}[set])
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A panel next to its image is not in the set.
	panel := imagefile.WriteOptions{Provenance: []imagefile.Pair{{Key: imagefile.KeyKind, Value: string(imagefile.Panel)}}}
	if err := imagefile.Write(filepath.Join(folder, "fake", "x-panel.png"), imagefile.New(8, 8), panel); err != nil {
		t.Fatal(err)
	}
	p, err := FindMatches(t.Context(), filepath.Join(folder, "real"), filepath.Join(folder, "fake"), "", SlidePattern)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, pair := range p.List {
		got[pair.Name] = pair.Patient
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Error(diff)
	}
	if len(p.Missing) != 0 {
		t.Errorf("missing %v", p.Missing)
	}
	// Two files of one name.
	if err := os.WriteFile(filepath.Join(folder, "fake", "x.tif"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := FindMatches(t.Context(), filepath.Join(folder, "real"), filepath.Join(folder, "fake"), "",
		SlidePattern); err == nil {
		t.Error("two files of one name are no error")
	}
	if _, err := FindMatches(t.Context(), filepath.Join(folder, "real"), filepath.Join(folder, "fake"), "",
		"("); err == nil {
		t.Error("a pattern that is none is no error")
	}
}
