# HistDiST for Go. `make` lists the targets.
#
# CGO_ENABLED=0 leaves the fast CPU device out; without a C compiler scripts/deps.sh chooses that by itself.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
GO       ?= go
CGO      := cgo=$$(GO=$(GO) scripts/deps.sh) || exit 1; export CGO_ENABLED=$$cgo;
GOLANGCI := bin/golangci-lint-v2.15.0
GOFUMPT  := bin/gofumpt-v0.12.0
APIDIFF  := bin/apidiff-v0.0.0-20261113113407-e3970619a1a4
GOVULNCHECK := bin/govulncheck-v1.9.0
GORELEASER  := bin/goreleaser-v2.15.1
CYCLONEDX   := bin/cyclonedx-gomod-v1.10.0

FUZZTIME ?= 30s
FUZZ_IN  ?= .

# What `histdist bench` times: --only unet-kernels, --model FOLDER, …
BENCH ?= --training

# The tests that scripts/gpu-check.sh runs on a machine with a GPU.
GPU_TESTS := graph/device/internal/cuda graph graph/unet graph/vae graph/clip graph/vit infer train

.DEFAULT_GOAL := help
.PHONY: help deps build cross windows windows-test arm64-test gpu gpu-test gpu-lint test test-nocgo test-full race fuzz lint fmt api-check bench bench-engine bench-unet bench-busy man demo demo-eval examples site web web-check web-test qupath-check notice notice-check vuln release-snapshot release-check release-images release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## check for Go and a C compiler; install the compiler where that is allowed
	@GO=$(GO) scripts/deps.sh >/dev/null

build: ## build bin/histdist
	@$(CGO) $(GO) build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/histdist ./cmd/histdist
	@echo "built bin/histdist $(VERSION)"

cross: ## build for Linux, macOS and Windows on each processor, without C, and vet for them
	@GO=$(GO) scripts/cross.sh

windows: ## build bin/windows/histdist.exe with MinGW's compiler (docs/platforms.md)
	@GO=$(GO) VERSION=$(VERSION) scripts/windows.sh build

# WINDOWS_TESTS: flags of go test. PACKAGES: what to test.
windows-test: ## run the tests that ask something of the operating system under Wine, as programs for Windows
	@GO=$(GO) scripts/windows.sh test $(WINDOWS_TESTS)

arm64-test: ## build for arm64 with a cross compiler and test that in an emulator (docs/platforms.md)
	@scripts/arm64.sh tools
	@GO=$(GO) scripts/arm64.sh test

# A GPU or its driver is not needed to build; scripts/cuda.sh fetches NVIDIA's headers and compiler where they are missing.
GPU := cgo=$$(GO=$(GO) scripts/deps.sh) && cuda=$$(scripts/cuda.sh env) || exit 1; eval "$$cuda"; export CGO_ENABLED=1;

gpu: ## build bin/gpu/histdist for NVIDIA GPUs, and bin/gpu/check.tar.xz for scripts/gpu-check.sh
	@scripts/cuda.sh check
	@$(GPU) mkdir -p bin/gpu; $(GO) build -tags gpu -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gpu/histdist ./cmd/histdist && \
	work=$$(mktemp -d bin/gpu/tests.XXXXXX) && trap 'rm -rf "$$work"' EXIT && ln bin/gpu/histdist "$$work" && \
	for package in $(GPU_TESTS); do $(GO) test -tags gpu -c -trimpath -ldflags '-s -w' -o "$$work/$$(basename $$package).test" ./$$package || exit 1; \
	if [ -d $$package/testdata ]; then mkdir -p "$$work/tree/$$package" && cp -R $$package/testdata "$$work/tree/$$package" || exit 1; fi; done && \
	scripts/cuda.sh pack "$$work" bin/gpu/check.tar
	@echo "built bin/gpu/histdist $(VERSION)"

# CUDA_TESTS: with -short it is what every change must pass, in about two minutes.
gpu-test: ## test the device for NVIDIA GPUs with a driver that runs its kernels on the processor
	@scripts/cuda.sh fake
	@$(GPU) $(GO) test -tags gpu -timeout 20m $(CUDA_TESTS) ./graph/device/internal/cuda/...
	@$(if $(findstring -run,$(CUDA_TESTS)),,$(GPU) $(GO) test -tags gpu $(CUDA_TESTS) -timeout 20m -run '^Test(LostGPU|TwoGPUs|Ranks.*)$$' ./cmd/histdist)

gpu-lint: $(GOLANGCI) ## run golangci-lint on the device for NVIDIA GPUs
	@$(GPU) $(GOLANGCI) run --build-tags gpu ./graph/device/internal/cuda/... ./graph/device/catalog/...

test: ## run the tests (HISTDIST_GOLDEN: a folder with more golden data than testdata/golden)
	@$(CGO) $(GO) test -timeout 20m ./...

test-nocgo: ## run the tests of a build without C
	@CGO_ENABLED=0 $(MAKE) --no-print-directory test

test-full: ## run every test, the long ones too, a package at a time: some take 8 GB (HISTDIST_FULL=1)
	@$(CGO) HISTDIST_FULL=1 $(GO) test -p 1 -timeout 120m -count=1 ./...

race: ## run the compiler's and the executor's tests under the race detector
	@$(CGO) if [ "$$cgo" = 0 ]; then echo "make race: the race detector needs a C compiler" >&2; exit 1; fi; \
	$(GO) test -timeout 20m -race ./graph/vm/...

# Each parser of files, and what else takes bytes from outside, for FUZZTIME. Without C, for the instrumented build of the device takes minutes.
fuzz: ## fuzz every parser (FUZZTIME=30s each)
	@for package in $$(grep -rl --include='*_test.go' '^func Fuzz' $(FUZZ_IN) | xargs -n 1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$package/*_test.go | cut -c 6-); do \
			echo "$$package $$target"; \
			CGO_ENABLED=0 $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./$$package || exit 1; \
		done; \
	done

lint: $(GOLANGCI) ## run golangci-lint (.golangci.yml)
	@$(CGO) $(GOLANGCI) run ./...

fmt: $(GOFUMPT) ## format the Go files
	$(GOFUMPT) -l -w .

# TAG: another than the last one.
api-check: $(APIDIFF) ## list the incompatible changes of the public packages since the last tag
	@$(CGO) scripts/api-check.sh $(APIDIFF) $(TAG)

bench: build ## time the networks at full size (BENCH: flags; HISTDIST_TORCH_PYTHON: see docs/benchmarks.md)
	bin/histdist bench $(BENCH)

bench-engine: build ## time the networks' layers one by one
	bin/histdist bench --training --only unet-kernels,vae-decode-kernels,vae-encode-kernels

bench-unet: build ## time the U-Net and a training step, with the time of each operation
	bin/histdist bench --profile --only unet,unet-train-32

# BEFORE: another build of the program to compare with.
bench-busy: build ## time a translation next to other processes that compute (BEFORE=…/histdist to compare)
	scripts/bench_busy.sh $(BEFORE) bin/histdist

man: build ## write manual pages into man/
	bin/histdist man man

demo: build ## translate synthetic tissue with the model in the binary
	bin/histdist demo

demo-eval: build ## measure the model in the binary on 200 pieces of tissue that it has not seen (DEMO: flags, such as --preset balanced)
	bin/histdist demo measure $(DEMO)

# Runs the commands of its README.
examples: ## build and run the programs in examples, another module that uses the public packages
	@$(CGO) cd examples && $(GO) vet ./...
	@rm -rf demo/tissue demo/run
	@$(CGO) awk '/^```/ {code = /sh$$/; next} code' examples/README.md | bash -euo pipefail

site: ## build the documentation as a site, bin/site/html; broken links are errors
	@scripts/site.sh

web: ## build the page of `histdist serve` (internal/server/web/dist, which is committed) with npm
	@scripts/web.sh build

web-check: ## check the page's built files, types and format
	@scripts/web.sh check

web-test: build ## test the page in Chromium (CHROMIUM: the browser; skipped where it or npm is missing)
	@scripts/web.sh test

qupath-check: ## run the script for QuPath against a server, with Groovy, which Maven fetches (QUPATH: flags, such as -rewrite)
	@scripts/qupath/check.sh $(QUPATH)

notice: ## write NOTICE, the licences of what the program contains
	@$(GO) run ./internal/notice

notice-check: ## check that NOTICE is what the dependencies ask for
	@$(GO) run ./internal/notice -check

# VULNDB: another database than vuln.go.dev, such as file:///…
vuln: build $(GOVULNCHECK) ## look for known vulnerabilities in what bin/histdist contains
	@$(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) -mode binary bin/histdist

# What a release is, and how it is made: docs/releasing.md.
RELEASE := env=$$(scripts/release.sh env) || exit 1; eval "$$env";

release-snapshot: $(GORELEASER) $(CYCLONEDX) ## build everything that a release consists of into dist/
	@$(RELEASE) $(GORELEASER) release --snapshot --clean

release-check: $(GORELEASER) $(CYCLONEDX) ## build a release twice, and install and run each package in a clean root; publishes nothing
	@scripts/release-check.sh

release-images: ## make the container images of the packages in dist/, with and without NVIDIA's libraries
	@scripts/release.sh images

release: $(GORELEASER) $(CYCLONEDX) ## publish the release of the tag that is checked out, as a draft (GITHUB_TOKEN)
	@$(RELEASE) $(GORELEASER) release --clean

clean: ## remove what was built
	rm -rf bin dist man demo demo-eval

# Tools live in bin/ under their version, so that a new pin installs anew, and stay out of go.mod, whose versions are the
# program's own. The first installation of golangci-lint compiles it: 3 minutes on two cores.
$(GOLANGCI):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv bin/golangci-lint $@

$(GOFUMPT):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install mvdan.cc/gofumpt@v0.12.0
	mv bin/gofumpt $@

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install golang.org/x/vuln/cmd/govulncheck@v1.9.0
	mv bin/govulncheck $@

# The first installation compiles it: 5 minutes on two cores.
$(GORELEASER):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install github.com/goreleaser/goreleaser/v2@v2.15.1
	mv bin/goreleaser $@

$(CYCLONEDX):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
	mv bin/cyclonedx-gomod $@

$(APIDIFF):
	GOBIN=$(CURDIR)/bin CGO_ENABLED=0 $(GO) install golang.org/x/exp/cmd/apidiff@$(patsubst bin/apidiff-%,%,$@)
	mv bin/apidiff $@
