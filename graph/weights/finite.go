package weights

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/histdist/histdist/internal/finite"
	"github.com/histdist/histdist/internal/parallel"
)

// DamagedError is the error of weights that are NaN, infinite, or so large that their squares are.
type DamagedError struct {
	Path string
	Errs []error // *finite.Error, one for each damaged tensor that was looked at
}

func (e *DamagedError) Error() string {
	text := e.Path + ": the weights are damaged"
	for _, err := range e.Errs {
		text += ": " + err.Error()
		if more := len(e.Errs) - 1; more > 0 {
			return fmt.Sprintf("%s (and %d other tensors)", text, more)
		}
	}
	return text
}

func (e *DamagedError) Unwrap() []error { return e.Errs }

// checkFinite returns an error for a value of a tensor that is not finite.
func checkFinite(name string, values []float32, limit int) error {
	var bad atomic.Pointer[finite.Error]
	parallel.Ranges(len(values), grain, func(from, to int) {
		if at := finite.Index(values[from:to], limit); at >= 0 {
			bad.Store(&finite.Error{Name: name, Index: from + at, Value: values[from+at]})
		}
	})
	if e := bad.Load(); e != nil {
		return e
	}
	return nil
}

// checkPlaces checks the values that are bound for the first time, unless it was done when they were converted.
func (s *Store) checkPlaces(places []*memory) error {
	e := &DamagedError{Path: s.path}
	for _, p := range places {
		if p.checked {
			continue
		}
		if err := checkFinite(p.source.name, p.values, finite.Squares); err != nil {
			e.Errs = append(e.Errs, err)
			continue
		}
		p.checked = true
	}
	if len(e.Errs) > 0 {
		return e
	}
	return nil
}

// CheckFinite reads all weights, at about a second a gigabyte. If some are not finite the error is a *DamagedError.
func (s *Store) CheckFinite() error {
	names := slices.Sorted(maps.Keys(s.tensors))
	errs := make([]error, len(names))
	parallel.For(len(names), func(i int) { errs[i] = s.tensors[names[i]].checkFinite() })
	if errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil }); len(errs) > 0 {
		return &DamagedError{s.path, errs}
	}
	return nil
}

// checkFinite checks the tensor's values a few at a time.
func (t *stored) checkFinite() error {
	if !isFloat(t.dtype) {
		return nil
	}
	data, size, n := t.dense(), int(t.dtype.Size()), elements(t.shape)
	values := make([]float32, min(n, 1<<16))
	for i := 0; i < n; i += len(values) {
		part := values[:min(len(values), n-i)]
		decode(part, data[i*size:], t.dtype)
		if at := finite.Index(part, finite.Squares); at >= 0 {
			return &finite.Error{Name: t.name, Index: i + at, Value: part[at]}
		}
	}
	return nil
}
