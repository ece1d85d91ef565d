// Package progress is how long work says what it is doing: translations, training and evaluation all report events to
// one Observer.
//
// An event is a value of one of the types that the working package documents, such as train.Metrics, infer.Done, or
// Note and Stage of this package. An observer picks those that it knows with a type switch.
package progress

import "errors"

// Observer receives events, one at a time. Its error ends the work. A nil Observer ignores all.
type Observer func(event any) error

// Note is something a user should know, in a line.
type Note string

// Stage reports that Done of Total parts of a stage of the work are done; Total is 0 where they aren't counted.
type Stage struct {
	Name        string
	Done, Total int
}

// Report passes an event on.
func (o Observer) Report(event any) error {
	if o == nil {
		return nil
	}
	return o(event)
}

// On is an Observer of one type of event.
func On[E any](f func(E) error) Observer {
	return func(event any) error {
		if e, ok := event.(E); ok {
			return f(e)
		}
		return nil
	}
}

// All passes every event on to each observer, whatever the others return.
func All(observers ...Observer) Observer {
	return func(event any) error {
		var errs []error
		for _, o := range observers {
			errs = append(errs, o.Report(event))
		}
		return errors.Join(errs...)
	}
}

// Keep returns an Observer that passes events on to o, and a function that returns o's first error: work that goes on
// after other errors ends with the observer's.
func (o Observer) Keep() (observe Observer, failed func() error) {
	var first error
	return func(event any) error {
		err := o.Report(event)
		if first == nil {
			first = err
		}
		return err
	}, func() error { return first }
}
