package ranks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say how long ranks wait for each other.
type Options struct {
	// Timeout is for what all ranks must reach: the meeting, what is compared at the start, a sum. It must be longer than
	// the slowest rank takes to open its data, and than a step takes.
	Timeout time.Duration
	// Silence is for how long nothing may be heard of a rank before it counts as lost; Beat, the time between two signs of
	// life, must be much shorter. 0 is 20 seconds and 1 second.
	Silence, Beat time.Duration
}

// Join waits until all ranks of a job are there. The Job must be left.
func Join(ctx context.Context, l Launch, o Options) (*Job, error) {
	if o.Silence == 0 {
		o.Silence = 20 * time.Second
	}
	if o.Beat == 0 {
		o.Beat = time.Second
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	j := newJob(l, o, host)
	patience := o.Timeout
	if l.Rank != 0 {
		patience += o.Timeout / 2 // for rank 0 to say who is missing
	}
	meeting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if l.Rank == 0 {
		err = j.gather(meeting)
	} else {
		err = j.connect(meeting)
	}
	if err != nil {
		j.close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &Error{fmt.Sprintf("rank %d of %d, started by %s: %v", l.Rank, l.Size, l.By, err)}
	}
	j.begin()
	return j, nil
}

// gather is rank 0's part: it takes every other rank's connection.
func (j *Job) gather(ctx context.Context) error {
	_, port, err := net.SplitHostPort(j.launch.Address)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", port))
	if err != nil {
		return fmt.Errorf("%w: is the port taken? %s names another", err, Port)
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	type arrival struct {
		rank int
		member
		err error
	}
	arrivals := make(chan arrival)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				a := arrival{}
				a.rank, a.member, a.err = j.admit(c)
				select {
				case arrivals <- a:
				case <-ctx.Done():
					_ = c.Close()
				}
			}()
		}
	}()
	var refused error
	for missing := j.launch.Size - 1; missing > 0; {
		select {
		case a := <-arrivals:
			switch {
			case a.err != nil:
				refused = a.err
			case j.members[a.rank].wire != nil:
				refused = fmt.Errorf("two processes say that they are rank %d, on %s and %s",
					a.rank, j.members[a.rank].host, a.host)
				_ = a.wire.send(message{Kind: failure, Text: refused.Error()})
				_ = a.wire.Close()
			default:
				j.members[a.rank] = a.member
				missing--
			}
		case <-ctx.Done():
			return j.absent(refused)
		}
	}
	for _, m := range j.others() {
		if err := m.wire.send(message{Kind: welcome, Host: j.host}); err != nil {
			return fmt.Errorf("rank %d (%s): %w", m.rank, m.host, err)
		}
	}
	return nil
}

// admit reads who has connected.
func (j *Job) admit(c net.Conn) (rank int, m member, err error) {
	w, err := open(c, true, j.launch.Secret, j.o.Silence)
	var first message
	if err == nil {
		first, err = w.receive()
	}
	if err == nil && (first.Kind != hello || first.Rank < 1 || first.Rank >= j.launch.Size) {
		err = fmt.Errorf("it says that it is rank %d of %d", first.Rank, first.Size)
	}
	if err != nil {
		_ = c.Close()
		return 0, m, fmt.Errorf("a process at %s was turned away: %w", c.RemoteAddr(), err)
	}
	if first.Size != j.launch.Size {
		err = fmt.Errorf("rank %d (%s) is of %d ranks: here are %d", first.Rank, first.Host, first.Size, j.launch.Size)
		_ = w.send(message{Kind: failure, Text: err.Error()})
		_ = c.Close()
		return 0, m, err
	}
	return first.Rank, member{wire: w, rank: first.Rank, host: first.Host}, nil
}

// absent tells those who came who did not.
func (j *Job) absent(refused error) error {
	var list []string
	for rank := 1; rank < j.launch.Size; rank++ {
		if j.members[rank].wire == nil {
			list = append(list, strconv.Itoa(rank))
		}
	}
	err := fmt.Errorf("after %s these of %d ranks have not come to %s: %s", j.o.Timeout, j.launch.Size, j.launch.Address,
		strings.Join(list, ", "))
	if j.launch.By == "Slurm" && len(list) == j.launch.Size-1 {
		err = fmt.Errorf("%w: does srun start the program?", err)
	}
	if refused != nil {
		err = fmt.Errorf("%w; %w", err, refused)
	}
	for _, m := range j.others() {
		_ = m.wire.send(message{Kind: failure, Text: err.Error()})
	}
	return err
}

// connect is the other ranks' part. Rank 0 may not be there yet.
func (j *Job) connect(ctx context.Context) error {
	var last error
	for met := false; ; {
		w, err := j.dial(ctx)
		if err == nil {
			met = true
			err = j.introduce(ctx, w)
			if err == nil || errors.As(err, new(*Error)) {
				return err
			}
			last = err
		} else if !met {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("rank 0 has not answered at %s for %s: %w", j.launch.Address, j.o.Timeout, last)
		case <-time.After(min(j.o.Beat, 200*time.Millisecond)):
		}
	}
}

func (j *Job) dial(ctx context.Context) (*wire, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", j.launch.Address)
	if err != nil {
		return nil, err
	}
	w, err := open(c, false, j.launch.Secret, j.o.Silence)
	if err != nil {
		_ = c.Close()
	}
	return w, err
}

// introduce says who this is, and waits until all are there.
func (j *Job) introduce(ctx context.Context, w *wire) error {
	defer context.AfterFunc(ctx, func() { w.Close() })()
	err := w.send(message{Kind: hello, Rank: j.launch.Rank, Size: j.launch.Size, Host: j.host})
	var reply message
	if err == nil {
		patient := &wire{Conn: w.Conn, silence: j.o.Timeout + j.o.Silence, in: w.in}
		reply, err = patient.receive()
		w.in = patient.in
	}
	switch {
	case err != nil:
		_ = w.Close()
		return fmt.Errorf("it ends the connection (%w): another job listens there, or %s is another", err, Secret)
	case reply.Kind == failure:
		_ = w.Close()
		return &Error{reply.Text}
	}
	j.members[0] = member{wire: w, rank: 0, host: reply.Host}
	return nil
}

// others are the ranks that this one is connected with.
func (j *Job) others() []*member {
	var list []*member
	for i := range j.members {
		if j.members[i].wire != nil {
			list = append(list, &j.members[i])
		}
	}
	return slices.Clip(list)
}
