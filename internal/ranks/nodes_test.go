package ranks

import "testing"

func TestFirstNode(t *testing.T) {
	for list, want := range map[string]string{
		"":                                  "",
		"gpu01":                             "gpu01",
		"gpu01,gpu02":                       "gpu01",
		"gpu[01-04,7],login":                "gpu01",
		"gpu[7,01-04]":                      "gpu7",
		"login,gpu[01-04]":                  "login",
		"rack[1-2]-node[003,005].cluster,x": "rack1-node003.cluster",
		"gpu[12]":                           "gpu12",
	} {
		if got := firstNode(list); got != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}
