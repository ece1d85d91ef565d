package server

import (
	"cmp"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/histdist/histdist/internal/option"
)

// Settings are the options of a server.
type Settings struct {
	Slides option.List `key:"slides" usage:"folder of slides, with its sub-folders; may be given several times (default: a synthetic slide)"`

	Address        string      `key:"address" usage:"address and port to listen on; other addresses than this machine's own (127.0.0.1) need --token-file"`
	Hosts          option.List `key:"host" usage:"name by which clients reach the server, such as that of a reverse proxy; may be given several times (names of the machine itself and addresses are known)"`
	TokenFile      string      `key:"token-file" usage:"file with a line 'NAME TOKEN' for each user; without it everybody on this machine may use the server"`
	TLSCertificate string      `key:"tls-certificate" usage:"file with the certificate, and those of its issuers, in PEM: serves HTTPS"`
	TLSKey         string      `key:"tls-key" usage:"file with the certificate's private key in PEM"`
	ShowLabels     bool        `key:"show-labels" usage:"also serve label and macro images of slides, which show patients' names"`

	State           string          `key:"state" usage:"folder for jobs, results and uploads (default: histdist/serve among the user's state files)"`
	Keep            option.Duration `key:"keep" usage:"how long results and uploads are kept"`
	MaxDisk         int64           `key:"max-disk" want:"1 or more" usage:"bytes that results and uploads may take"`
	MaxUploadBytes  int64           `key:"max-upload-bytes" want:"1 or more" usage:"size of an upload"`
	MaxUploadPixels int64           `key:"max-upload-pixels" want:"1 or more" usage:"pixels of an upload's full resolution"`
	MaxQueue        int             `key:"max-queue" want:"1 or more" usage:"jobs that each user may have waiting"`
	MaxJobCalls     int64           `key:"max-job-calls" want:"1 or more" usage:"U-Net calls that a job may take: windows times steps"`
	MaxJobTime      option.Duration `key:"max-job-time" usage:"time after which a job is ended"`
	CacheBytes      int64           `key:"cache-bytes" want:"16777216 or more" usage:"memory for tiles: half for those that were sent, half for parts of open slides"`
}

// DefaultSettings serve this machine alone.
func DefaultSettings() Settings {
	return Settings{
		Address: "127.0.0.1:8080", Keep: option.Duration(7 * 24 * time.Hour), MaxDisk: 100e9, MaxUploadBytes: 2 << 30,
		MaxUploadPixels: 20e9, MaxQueue: 100, MaxJobCalls: 1e6,
		MaxJobTime: option.Duration(24 * time.Hour), CacheBytes: 512 << 20,
	}
}

// Validate reports everything that is wrong with the settings, as option.KeyErrors.
func (s Settings) Validate() error {
	errs := []error{option.Check(s)}
	if (s.TLSCertificate == "") != (s.TLSKey == "") {
		errs = append(errs, option.Wrong("tls-certificate", "it and tls-key belong together: give both or neither"))
	}
	switch local, err := loopback(s.Address); {
	case err != nil:
		errs = append(errs, option.Wrong("address", "%q: want an address and a port, such as 127.0.0.1:8080", s.Address))
	case !local && s.TokenFile == "":
		errs = append(errs, option.Wrong("address",
			"%s can be reached from other machines: name who may use the server in a --token-file", s.Address))
	}
	return errors.Join(errs...)
}

// loopback reports whether only this machine can reach an address.
func loopback(address string) (bool, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false, err
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return false, err
	}
	if host == "localhost" {
		return true, nil
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback(), nil // "" is every address, a name may be any
}

// StateFolder returns the folder for jobs, results and uploads where none is named.
func StateFolder() (string, error) {
	base := os.Getenv("XDG_STATE_HOME")
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		config, err := os.UserConfigDir()
		if err != nil {
			return "", err
		}
		base = cmp.Or(base, config)
	}
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(base, "histdist", "serve"), nil
}
