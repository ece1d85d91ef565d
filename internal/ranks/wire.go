package ranks

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"time"
)

// A connection begins with a greeting and a random number of either side, unauthenticated. From then on it carries
// messages: their length, their JSON and an HMAC-SHA256 with a key made of the secret and both numbers, over the
// direction, the message's number and its JSON. So nobody without the secret can send, change, repeat or leave out a
// message; who listens can read it.
const (
	greeting   = "histdist ranks 1\n"
	nonceBytes = 32
	mostBytes  = 16 << 20 // of a message
)

// kind is what a message is for.
type kind string

const (
	hello   kind = "hello"   // who connects
	welcome kind = "welcome" // all are here
	ask     kind = "ask"     // a part for Job.ask
	answer  kind = "answer"  // what rank 0 made of all parts
	beat    kind = "beat"    // still here, and what it does
	end     kind = "end"     // this rank is done; with Text it has failed
	failure kind = "failure" // the job has failed, by rank 0
)

type message struct {
	Kind kind   `json:"kind"`
	Rank int    `json:"rank,omitempty"`
	Size int    `json:"size,omitempty"`
	Host string `json:"host,omitempty"`
	Name string `json:"name,omitempty"` // of what is asked
	Data []byte `json:"data,omitempty"`
	Text string `json:"text,omitempty"`
	Now  state  `json:"now,omitzero"`
}

// errRefused is the error of a side that does not know the secret.
var errRefused = errors.New("it has another secret")

// wire is one end of a connection. One goroutine may receive while others send.
type wire struct {
	net.Conn
	silence time.Duration // the longest wait for a message
	in, out authentic
	sending sync.Mutex
}

// authentic makes the codes of one direction's messages.
type authentic struct {
	key       []byte
	direction byte
	number    uint64
}

func (a *authentic) code(text []byte) []byte {
	h := hmac.New(sha256.New, a.key)
	a.header(h)
	h.Write(text)
	return h.Sum(nil)
}

func (a *authentic) header(h hash.Hash) {
	var b [9]byte
	b[0] = a.direction
	binary.BigEndian.PutUint64(b[1:], a.number)
	a.number++
	h.Write(b[:])
}

// open begins a connection, on the side of rank 0 or of another rank.
func open(c net.Conn, first bool, secret []byte, silence time.Duration) (*wire, error) {
	mine, theirs := make([]byte, nonceBytes), make([]byte, len(greeting)+nonceBytes)
	if _, err := rand.Read(mine); err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(silence)); err != nil {
		return nil, err
	}
	if _, err := c.Write(append([]byte(greeting), mine...)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(c, theirs); err != nil {
		return nil, err
	}
	if string(theirs[:len(greeting)]) != greeting {
		return nil, errors.New("it is another program, or another version")
	}
	theirs = theirs[len(greeting):]
	w := &wire{Conn: c, silence: silence, in: authentic{direction: 1}, out: authentic{direction: 2}}
	nonces := append(append([]byte(nil), theirs...), mine...)
	if first {
		w.in.direction, w.out.direction = 2, 1
		nonces = append(append([]byte(nil), mine...), theirs...)
	}
	h := hmac.New(sha256.New, secret)
	h.Write(nonces)
	w.in.key = h.Sum(nil)
	w.out.key = w.in.key
	return w, nil
}

func (w *wire) send(m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > mostBytes {
		return fmt.Errorf("a message of %d bytes", len(text))
	}
	w.sending.Lock()
	defer w.sending.Unlock()
	if err := w.SetWriteDeadline(time.Now().Add(w.silence)); err != nil {
		return err
	}
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	frame = append(append(frame, text...), w.out.code(text)...)
	_, err = w.Write(frame)
	return err
}

func (w *wire) receive() (m message, err error) {
	if err := w.SetReadDeadline(time.Now().Add(w.silence)); err != nil {
		return m, err
	}
	var length [4]byte
	if _, err := io.ReadFull(w, length[:]); err != nil {
		return m, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > mostBytes {
		return m, errRefused
	}
	frame := make([]byte, int(n)+sha256.Size)
	if _, err := io.ReadFull(w, frame); err != nil {
		return m, err
	}
	text := frame[:n]
	if !hmac.Equal(w.in.code(text), frame[n:]) {
		return m, errRefused
	}
	return m, json.Unmarshal(text, &m)
}
