package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/histdist/histdist/internal/option"
)

const (
	tokenAnna = "anna-token-anna-token"
	tokenBert = "bert-token-bert-token"
)

// tokenFile writes a file of two users.
func tokenFile(t testing.TB) string {
	path := filepath.Join(t.TempDir(), "tokens")
	write(t, path, []byte("# users\nanna "+tokenAnna+"\n\nbert\t"+tokenBert+"\n"))
	return path
}

func withTokens(t testing.TB) func(*Options) {
	return func(o *Options) { o.TokenFile = tokenFile(t) }
}

func TestTokens(t *testing.T) {
	s, _ := start(t, "", withTokens(t))
	var asked []string
	s.mux.Handle("GET /who", s.serve(route{handle: func(w http.ResponseWriter, r *http.Request) error {
		asked = append(asked, userOf(r))
		return reply(w, http.StatusOK, "you")
	}}))
	for name, test := range map[string]struct {
		header string
		user   string // "" where it is refused
	}{
		"none":            {"", ""},
		"empty":           {"Authorization: ", ""},
		"scheme alone":    {"Authorization: Bearer", ""},
		"empty token":     {"Authorization: Bearer ", ""},
		"wrong":           {"Authorization: Bearer anna-token-anna-tokeN", ""},
		"beginning":       {"Authorization: Bearer anna-token-anna", ""},
		"longer":          {"Authorization: Bearer " + tokenAnna + "x", ""},
		"another scheme":  {"Authorization: Basic " + tokenAnna, ""},
		"no scheme":       {"Authorization: " + tokenAnna, ""},
		"name":            {"Authorization: Bearer anna", ""},
		"first":           {"Authorization: Bearer " + tokenAnna, "anna"},
		"second":          {"Authorization: Bearer " + tokenBert, "bert"},
		"scheme in lower": {"Authorization: bearer " + tokenBert, "bert"},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			answer, _ := get(t, s, "/who", test.header)
			switch {
			case test.user == "" && (answer.StatusCode != 401 || asked != nil || answer.Header.Get("WWW-Authenticate") == ""):
				t.Errorf("%s, %v, %v", answer.Status, asked, answer.Header)
			case test.user != "" && (answer.StatusCode != 200 || len(asked) != 1 || asked[0] != test.user):
				t.Errorf("%s, %v", answer.Status, asked)
			}
		})
	}
}

// Without a token there are health and the page's files, and nothing else.
func TestWhatNeedsNoToken(t *testing.T) {
	s, _ := start(t, "", withTokens(t))
	id := "AAAAAAAAAAAAAAAAAAAAAA"
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		for _, part := range []string{
			"{slide}", "{image}", "{folder}", "{level}", "{file}", "{region}", "{size}", "{rotation}", "{job}",
		} {
			path = strings.ReplaceAll(path, part, id)
		}
		path = strings.ReplaceAll(strings.ReplaceAll(path, "{file...}", "x.js"), "{$}", "")
		answer, _ := ask(t, s, method, path, nil)
		open := path == "/api/v1/health" || path == "/" || strings.HasPrefix(path, "/assets/")
		if (answer.StatusCode == 401) == open {
			t.Errorf("%s %s: %s", method, path, answer.Status)
		}
	}
}

func TestTokenFile(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"empty":        {"", "has no user"},
		"comments":     {"# nobody\n", "has no user"},
		"no token":     {"anna\n", "line 1: want a name and a token"},
		"three words":  {"anna a-secret-of-sixteen more\n", "line 1: want a name and a token"},
		"short":        {"anna 1234\n", "line 1: the token has 4 characters"},
		"twice":        {"anna aaaaaaaaaaaaaaaa\nanna bbbbbbbbbbbbbbbb\n", "line 2: the name \"anna\" is there twice"},
		"without file": {"-", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens")
			if test.text != "-" {
				write(t, path, []byte(test.text))
			}
			_, err := readTokens(path)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v; want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the token: %v", err)
			}
		})
	}
}

// A page of another site can make a browser ask under its own name, but not under ours.
func TestHosts(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		open   bool // for other machines
		host   string
		status int
	}{
		"address":                {false, "127.0.0.1:8080", 200},
		"another port":           {false, "127.0.0.1:9000", 200},
		"without port":           {false, "127.0.0.1", 200},
		"IPv6":                   {false, "[::1]:8080", 200},
		"localhost":              {false, "localhost:8080", 200},
		"capitals and a dot":     {false, "LocalHost.:8080", 200},
		"another name":           {false, "evil.example:8080", 421},
		"rebound":                {false, "127.0.0.1.evil.example", 421},
		"ours in front":          {false, "localhost.evil.example", 421},
		"empty":                  {false, "", 421},
		"given":                  {false, "slides.example.org", 200},
		"below the given":        {false, "x.slides.example.org", 421},
		"the machine, from here": {false, machine + ".local", 421},
		"the machine":            {true, machine, 200},
		"another, open":          {true, "evil.example", 421},
		"address, open":          {true, "192.168.0.7:8080", 200},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, "", func(o *Options) {
				o.Hosts = option.List{"Slides.example.org"}
				if test.open {
					o.Address, o.TokenFile = "0.0.0.0:8080", tokenFile(t)
				}
			})
			answer, _ := get(t, s, "/api/v1/health", "Host: "+test.host)
			if answer.StatusCode != test.status {
				t.Errorf("%q: %s; want %d", test.host, answer.Status, test.status)
			}
		})
	}
}

// Pages of other sites can neither read nor change anything.
func TestOrigins(t *testing.T) {
	s, _ := start(t, folderOfSlides(t), nil)
	for name, test := range map[string]struct {
		method, path string
		headers      []string
		refused      bool
	}{
		"page":                {"GET", "/", []string{"Sec-Fetch-Site: cross-site"}, false}, // a link to it
		"read":                {"GET", "/api/v1/slides", []string{"Sec-Fetch-Site: cross-site"}, true},
		"own":                 {"GET", "/api/v1/slides", []string{"Sec-Fetch-Site: same-origin"}, false},
		"script":              {"GET", "/api/v1/slides", nil, false},
		"change":              {"POST", "/api/v1/uploads", []string{"Sec-Fetch-Site: cross-site"}, true},
		"change, other port":  {"POST", "/api/v1/uploads", []string{"Sec-Fetch-Site: same-site"}, true},
		"change, old browser": {"POST", "/api/v1/uploads", []string{"Origin: http://evil.example"}, true},
		"change, null":        {"POST", "/api/v1/uploads", []string{"Origin: null"}, true},
		"own change":          {"POST", "/api/v1/uploads", []string{"Origin: http://127.0.0.1:8080"}, false},
		"delete":              {"DELETE", "/api/v1/uploads/x", []string{"Sec-Fetch-Site: cross-site"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			answer, _ := ask(t, s, test.method, test.path, strings.NewReader(""), test.headers...)
			if (answer.StatusCode == http.StatusForbidden) != test.refused {
				t.Errorf("%s, want refused: %t", answer.Status, test.refused)
			}
			for header := range answer.Header {
				if strings.HasPrefix(header, "Access-Control-") {
					t.Errorf("CORS is open: %s", header)
				}
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	s, _ := start(t, "", nil)
	for _, path := range []string{"/", "/api/v1/health", "/nothing"} {
		answer, _ := get(t, s, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if !strings.HasPrefix(answer.Header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, answer.Header.Get(name))
			}
		}
		for _, forbidden := range []string{"unsafe-inline", "unsafe-eval", "*", "http:"} {
			if strings.Contains(answer.Header.Get("Content-Security-Policy"), forbidden) {
				t.Errorf("%s: the policy allows %s", path, forbidden)
			}
		}
	}
}

// Who opens the server to other machines names its users.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{ // "": it may be open
		"127.0.0.1:8080": "", "127.9.9.9:80": "", "[::1]:8080": "", "localhost:0": "", "[::ffff:127.0.0.1]:80": "",
		"0.0.0.0:8080": "token-file", ":8080": "token-file", "[::]:8080": "token-file", "192.168.0.7:80": "token-file",
		"example.org:80": "token-file", "127.0.0.1": "want an address", "8080": "want an address",
		"127.0.0.1:http-but-not": "want an address",
	} {
		s := DefaultSettings()
		s.Address = address
		err := s.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", address, err, want)
		}
		s.TokenFile = "tokens"
		if err := s.Validate(); (err == nil) != (want != "want an address") {
			t.Errorf("%s with tokens: %v", address, err)
		}
	}
}

// The log has no names of slides, patients or paths, whatever happens, and so have other people's answers.
func TestNamesAreNotLogged(t *testing.T) {
	folder := folderOfSlides(t)
	s, log := start(t, folder, nil)
	_, text := get(t, s, "/api/v1/slides")
	var list []slideAnswer
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("the slides are %s", text)
	}
	for _, one := range list {
		if strings.Contains(one.Error, patient) {
			t.Errorf("the error names the file: %s", one.Error)
		}
		for _, path := range []string{
			"slides/" + one.ID, "slides/" + one.ID + "/tissue", "slides/" + one.ID + "/associated/macro.jpg",
			"images/" + one.ID + ".dzi", "images/" + one.ID + "_files/0/0_0.jpg", "images/" + one.ID + "_files/11/0_0.jpg",
			"images/" + one.ID + "_files/99/0_0.jpg", "iiif/" + one.ID + "/info.json",
			"iiif/" + one.ID + "/full/max/0/default.jpg", "iiif/" + one.ID + "/full/0,/0/default.jpg",
		} {
			answer, text := get(t, s, "/api/v1/"+path)
			if answer.StatusCode >= 400 && strings.Contains(string(text), patient) {
				t.Errorf("%s: %s", path, text)
			}
		}
	}
	get(t, s, "/api/v1/slides/"+strings.ReplaceAll(patient, " ", "%20"))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	get(t, s, "/api/v1/slides")
	for _, secret := range append(strings.Fields(patient), filepath.Dir(folder)) {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
		if _, text := get(t, s, "/metrics"); strings.Contains(string(text), secret) {
			t.Errorf("the metrics have %q", secret)
		}
	}
	if log.Len() == 0 {
		t.Error("nothing is logged")
	}
}
