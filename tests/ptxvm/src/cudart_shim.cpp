// SPDX-License-Identifier: MIT
// A stand-in for libcudart: registers the PTX nvcc embedded in this program and runs launches on
// the machine. Everything is synchronous; streams and events are only bookkeeping.
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "calls.hpp"
#include "machine.hpp"
#include "ptx_parser.hpp"

using namespace ptxvm;

namespace {

struct Fatbin {
  std::string ptx, error;
  std::unique_ptr<Module> module;
  bool tried = false;
};
struct Symbol {
  Fatbin* fatbin;
  std::string name;
  size_t bytes;
};
struct Call {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
};
struct Event {
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
};

struct State {
  std::unordered_map<const void*, Symbol> kernels, variables;
  std::unordered_map<const void*, int> sharedLimit;
  std::vector<Call> calls;
  CallCounter counter;
  cudaError_t last = cudaSuccess;
  std::string message;
  std::map<std::string, ptxvm_stats> totals;
  std::string lastKernel, statsPath;  // "1": to standard error
  ptxvm_stats lastStats{};
  State();
};
State& state() {
  static State* s = new State;  // outlives static destructors of the program
  return *s;
}

cudaError_t set(cudaError_t e) {
  if (e != cudaSuccess) state().last = e;
  return e;
}

bool setOption(const std::string& name, const char* v) {
  const long long n = std::atoll(v);
  if (name == "PTXVM_SEED")
    options.seed = static_cast<unsigned>(n);
  else if (name == "PTXVM_RESIDENT")
    options.resident = std::max(1, static_cast<int>(n));
  else if (name == "PTXVM_QUANTUM")
    options.quantum = std::max(1, static_cast<int>(n));
  else if (name == "PTXVM_MAX_STEPS")
    options.maxSteps = static_cast<uint64_t>(n);
  else if (name == "PTXVM_STRICT")
    options.strict = n != 0;
  else if (name == "PTXVM_RACE")
    options.race = n != 0;
  else if (name == "PTXVM_INIT")
    options.init = n != 0;
  else if (name == "PTXVM_SM")
    options.sm = static_cast<int>(n);
  else if (name == "PTXVM_BLOCKS_PER_SM")
    options.blocksPerSm = std::min(16, std::max(1, static_cast<int>(n)));
  else if (name == "PTXVM_VERBOSE")
    options.verbose = n != 0;
  else if (name == "PTXVM_STATS")
    state().statsPath = v;
  else
    return false;
  return true;
}

void writeFields(std::FILE* f, const ptxvm_stats& s) {
  const std::pair<const char*, uint64_t> fields[] = {
      {"launches", s.launches},
      {"warp_instructions", s.warp_instructions},
      {"lane_instructions", s.lane_instructions},
      {"divergent_instructions", s.divergent_instructions},
      {"divergent_branches", s.divergent_branches},
      {"lane_int", s.lane_int},
      {"lane_f16", s.lane_f16},
      {"lane_f32", s.lane_f32},
      {"lane_f64", s.lane_f64},
      {"lane_mma", s.lane_mma},
      {"lane_ldst_global", s.lane_ldst_global},
      {"lane_ldst_shared", s.lane_ldst_shared},
      {"lane_ldst_other", s.lane_ldst_other},
      {"lane_shuffle", s.lane_shuffle},
      {"lane_atomic", s.lane_atomic},
      {"lane_control", s.lane_control},
      {"global_read_requests", s.global_read_requests},
      {"global_read_sectors", s.global_read_sectors},
      {"global_read_bytes", s.global_read_bytes},
      {"global_write_requests", s.global_write_requests},
      {"global_write_sectors", s.global_write_sectors},
      {"global_write_bytes", s.global_write_bytes},
      {"shared_requests", s.shared_requests},
      {"shared_wavefronts", s.shared_wavefronts},
      {"shared_wavefronts_ideal", s.shared_wavefronts_ideal},
      {"atomic_requests", s.atomic_requests},
      {"block_barriers", s.block_barriers},
      {"registers_live_max", s.registers_live_max}};
  bool first = true;
  for (auto& [name, value] : fields) {
    std::fprintf(f, "%s\"%s\": %llu", first ? "" : ", ", name,
                 static_cast<unsigned long long>(value));
    first = false;
  }
}

void add(ptxvm_stats& to, const ptxvm_stats& from) {
  auto* t = reinterpret_cast<uint64_t*>(&to);
  auto* s = reinterpret_cast<const uint64_t*>(&from);
  const uint64_t registers = std::max(to.registers_live_max, from.registers_live_max);
  for (size_t k = 0; k < sizeof(ptxvm_stats) / 8; ++k) t[k] += s[k];
  to.registers_live_max = registers;
}

const std::string& statsPath() { return state().statsPath; }
void writeStats() {
  if (statsPath().empty() || statsPath() == "0") return;
  std::FILE* f = statsPath() == "1" ? stderr : std::fopen(statsPath().c_str(), "w");
  if (!f) return;
  ptxvm_stats sum{};
  std::fprintf(f, "{\n  \"kernels\": {");
  bool first = true;
  for (auto& [name, s] : state().totals) {
    std::fprintf(f, "%s\n    \"%s\": {", first ? "" : ",", name.c_str());
    writeFields(f, s);
    std::fprintf(f, "}");
    first = false;
    add(sum, s);
  }
  std::fprintf(f, "\n  },\n  \"total\": {");
  writeFields(f, sum);
  std::fprintf(f, "}\n}\n");
  if (f != stderr) std::fclose(f);
}

State::State() {
#if defined(__AVX2__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("f16c")) {
    std::fprintf(stderr,
                 "ptxvm: this build needs a CPU with AVX2, FMA and F16C (configure with "
                 "-DPTXVM_ARCH=x86-64)\n");
    std::exit(70);
  }
#endif
  for (const char* name : {"PTXVM_SEED", "PTXVM_RESIDENT", "PTXVM_QUANTUM", "PTXVM_MAX_STEPS",
                           "PTXVM_STRICT", "PTXVM_RACE", "PTXVM_INIT", "PTXVM_SM", "PTXVM_SMS",
                           "PTXVM_BLOCKS_PER_SM", "PTXVM_VERBOSE", "PTXVM_STATS"})
    if (const char* v = std::getenv(name)) {
      if (std::strcmp(name, "PTXVM_STATS") == 0)
        statsPath = v;
      else
        setOption(name, v);
    }
  std::atexit(writeStats);
}

Module* load(Fatbin* fb) {
  if (!fb->tried) {
    fb->tried = true;
    try {
      if (fb->ptx.empty() && fb->error.empty())
        fb->error =
            "no plain PTX in this program: compile with nvcc -gencode "
            "arch=compute_80,code=compute_80 --compress-mode=none";
      if (fb->error.empty()) fb->module = parsePtx(fb->ptx, "");
    } catch (std::exception& e) {
      fb->error = e.what();
    }
    if (!fb->module) {
      state().message = fb->error;
      std::fprintf(stderr, "ptxvm: %s\n", fb->error.c_str());
    }
  }
  return fb->module.get();
}

Function* findKernel(const void* host, Module** module) {
  auto it = state().kernels.find(host);
  if (it == state().kernels.end()) return nullptr;
  Module* m = load(it->second.fatbin);
  if (!m) return nullptr;
  auto f = m->functions.find(it->second.name);
  if (f == m->functions.end()) return nullptr;
  if (module) *module = m;
  return f->second.get();
}

Variable* findVariable(const void* host) {
  auto it = state().variables.find(host);
  if (it == state().variables.end()) return nullptr;
  Module* m = load(it->second.fatbin);
  if (!m) return nullptr;
  auto v = m->globals.find(it->second.name);
  return v == m->globals.end() ? nullptr : &v->second;
}

int sharedOptIn() {
  const int sm = options.sm;
  return 1024 * (sm >= 90 && sm < 120 ? 227 : sm == 80 || sm == 87 ? 163 : sm == 75 ? 64 : 99);
}
int sharedPerSm() {
  const int sm = options.sm;
  return 1024 * (sm >= 90 && sm < 120 ? 228 : sm == 80 || sm == 87 ? 164 : sm == 75 ? 64 : 100);
}
int threadsPerSm() {
  return options.sm == 75                                            ? 1024
         : options.sm == 86 || options.sm == 89 || options.sm >= 120 ? 1536
                                                                     : 2048;
}

cudaError_t launchKernel(const void* host, dim3 g, dim3 b, void** args, size_t shared,
                         cudaStream_t stream) {
  State& s = state();
  s.counter.operate(stream);
  Module* m = nullptr;
  Function* f = findKernel(host, &m);
  if (!f) {
    if (s.message.empty()) s.message = "kernel not found";
    return set(cudaErrorInvalidDeviceFunction);
  }
  const uint64_t threads = static_cast<uint64_t>(b.x) * b.y * b.z;
  if (!g.x || !g.y || !g.z || g.y > 65535 || g.z > 65535 || g.x > 0x7fffffffu || threads == 0 ||
      threads > 1024 || b.z > 64 ||
      (f->maxThreads && threads > static_cast<uint64_t>(f->maxThreads)))
    return set(cudaErrorInvalidConfiguration);
  auto limit = s.sharedLimit.find(host);
  const size_t allowed = limit == s.sharedLimit.end()
                             ? 48 * 1024
                             : static_cast<size_t>(std::max(limit->second, 0)) + f->sharedBytes;
  if (f->sharedBytes + shared > std::max<size_t>(allowed, 48 * 1024) ||
      f->sharedBytes + shared > static_cast<size_t>(sharedOptIn()))
    return set(cudaErrorInvalidValue);
  std::vector<char> params(f->paramBytes);
  for (size_t k = 0; k < f->params.size(); ++k)
    std::memcpy(params.data() + f->params[k].addr, args[k], f->params[k].bytes);
  ptxvm_stats stats{};
  cudaError_t result = cudaSuccess;
  const auto start = std::chrono::steady_clock::now();
  try {
    launch(*m, *f, {{g.x, g.y, g.z}, {b.x, b.y, b.z}, shared}, params, stats);
  } catch (std::exception& e) {
    s.message = e.what();
    std::fflush(stdout);
    std::fprintf(stderr, "ptxvm: %s\n", e.what());
    result = s.message.rfind("DEVICE ASSERT", 0) == 0   ? cudaErrorAssert
             : s.message.rfind("MISALIGNED", 0) == 0    ? cudaErrorMisalignedAddress
             : s.message.rfind("OUT OF BOUNDS", 0) == 0 ? cudaErrorIllegalAddress
             : s.message.rfind("STEP BUDGET", 0) == 0   ? cudaErrorLaunchTimeout
                                                        : cudaErrorLaunchFailure;
  }
  s.lastKernel = f->name;
  s.lastStats = stats;
  add(s.totals[f->name], stats);
  if (options.verbose) {
    const double t =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::fprintf(stderr,
                 "ptxvm: %-60.60s grid %u block %u: %llu warp instr, %llu lane instr, %.3f s, "
                 "%.1f M lane-instr/s\n",
                 f->name.c_str(), g.x * g.y * g.z, b.x * b.y * b.z,
                 static_cast<unsigned long long>(stats.warp_instructions),
                 static_cast<unsigned long long>(stats.lane_instructions), t,
                 static_cast<double>(stats.lane_instructions) / t / 1e6);
  }
  return set(result);
}

bool inside(const void* p, size_t n) {
  Range r;
  return n == 0 || (findRange(reinterpret_cast<uint64_t>(p), r) &&
                    reinterpret_cast<uint64_t>(p) + n <= r.end);
}
cudaError_t copy(void* d, const void* s, size_t n, cudaMemcpyKind k) {
  const bool toDevice = k == cudaMemcpyHostToDevice || k == cudaMemcpyDeviceToDevice;
  const bool fromDevice = k == cudaMemcpyDeviceToHost || k == cudaMemcpyDeviceToDevice;
  if (static_cast<int>(k) < 0 || k > cudaMemcpyDefault)
    return set(cudaErrorInvalidMemcpyDirection);
  if ((toDevice && !inside(d, n)) || (fromDevice && !inside(s, n)))
    return set(cudaErrorInvalidValue);
  if (n) std::memmove(d, s, n);
  return cudaSuccess;
}
cudaError_t copy2D(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                   cudaMemcpyKind k) {
  if (w > dp || w > sp) return set(cudaErrorInvalidPitchValue);
  for (size_t y = 0; y < h; ++y)
    if (cudaError_t e =
            copy(static_cast<char*>(d) + y * dp, static_cast<const char*>(s) + y * sp, w, k))
      return e;
  return cudaSuccess;
}
cudaError_t allocateInto(void** p, size_t n, MemoryKind kind) {
  state().counter.allocate();
  if (!p) return set(cudaErrorInvalidValue);
  *p = nullptr;
  if (n == 0) return cudaSuccess;
  if (n > (64ull << 30)) return set(cudaErrorMemoryAllocation);
  *p = allocate(n, kind);
  return *p ? cudaSuccess : set(cudaErrorMemoryAllocation);
}
cudaError_t freePointer(void* p) {
  state().counter.allocate();
  return !p || release(p) ? cudaSuccess : set(cudaErrorInvalidValue);
}

cudaError_t fill(void* d, int v, size_t n) {
  if (!inside(d, n)) return set(cudaErrorInvalidValue);
  if (n) std::memset(d, v, n);
  return cudaSuccess;
}
cudaError_t fill2D(void* d, size_t pitch, int v, size_t w, size_t h) {
  for (size_t y = 0; y < h; ++y)
    if (cudaError_t e = fill(static_cast<char*>(d) + y * pitch, v, w)) return e;
  return cudaSuccess;
}
cudaError_t copyToSymbol(const void* symbol, const void* s, size_t n, size_t offset) {
  Variable* v = findVariable(symbol);
  if (!v) return set(cudaErrorInvalidSymbol);
  if (offset + n > v->bytes) return set(cudaErrorInvalidValue);
  std::memcpy(reinterpret_cast<char*>(v->addr) + offset, s, n);
  return cudaSuccess;
}
cudaError_t copyFromSymbol(void* d, const void* symbol, size_t n, size_t offset) {
  Variable* v = findVariable(symbol);
  if (!v) return set(cudaErrorInvalidSymbol);
  if (offset + n > v->bytes) return set(cudaErrorInvalidValue);
  std::memcpy(d, reinterpret_cast<char*>(v->addr) + offset, n);
  return cudaSuccess;
}
// A call without a stream: on the default one, and the caller waits.
void countBlocking() {
  state().counter.operate(nullptr);
  state().counter.wait();
}
// A copy of memory that is neither of the device nor pinned: a GPU may let the caller wait.
void countAsync(cudaStream_t stream, const void* d, const void* s) {
  Range r;
  state().counter.operate(stream);
  for (const void* p : {d, s})
    if (!findRange(reinterpret_cast<uint64_t>(p), r)) return state().counter.wait();
}

struct ErrorText {
  cudaError_t code;
  const char *name, *text;
};
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInvalidPitchValue, "cudaErrorInvalidPitchValue", "invalid pitch argument"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorMissingConfiguration, "cudaErrorMissingConfiguration",
     "__global__ function call is not configured"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorAssert, "cudaErrorAssert", "device-side assert triggered"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"}};
const ErrorText& errorText(cudaError_t e) {
  for (auto& t : kErrors)
    if (t.code == e) return t;
  return kErrors[sizeof kErrors / sizeof kErrors[0] - 1];
}

}  // namespace

extern "C" {

// ------------------------------------------------------------------------------------ what nvcc
// calls

void** __cudaRegisterFatBinary(void* wrapper) {
  struct Wrapper {
    int magic, version;
    const unsigned char* data;
    void* unused;
  };
  const unsigned char* d = static_cast<Wrapper*>(wrapper)->data;
  auto* fb = new Fatbin;
  uint32_t magic;
  std::memcpy(&magic, d, 4);
  if (magic != 0xBA55ED50) {
    fb->error = "unknown fat binary format";
    return reinterpret_cast<void**>(fb);
  }
  uint16_t headerBytes;
  uint64_t bodyBytes;
  std::memcpy(&headerBytes, d + 6, 2);
  std::memcpy(&bodyBytes, d + 8, 8);
  int best = -1;
  for (const unsigned char *q = d + headerBytes, *end = q + bodyBytes; q < end;) {
    uint16_t kind;
    uint32_t entryHeader;
    uint64_t size;
    std::memcpy(&kind, q, 2);
    std::memcpy(&entryHeader, q + 4, 4);
    std::memcpy(&size, q + 8, 8);
    if (kind == 1) {  // PTX; of several take the newest target that PTXVM_SM covers
      std::string text(reinterpret_cast<const char*>(q) + entryHeader,
                       strnlen(reinterpret_cast<const char*>(q) + entryHeader, size));
      const size_t at = text.find(".target sm_");
      const int sm = at == std::string::npos ? -1 : std::atoi(text.c_str() + at + 11);
      (void)state();
      if (sm > best && (sm <= options.sm || best < 0)) {
        best = sm;
        fb->ptx = std::move(text);
      }
      if (at == std::string::npos)
        fb->error =
            "the PTX in this program is compressed: compile with nvcc --compress-mode=none";
    }
    q += entryHeader + size;
  }
  return reinterpret_cast<void**>(fb);
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterFunction(void** fb, const char* host, char*, const char* name, int, uint3*,
                            uint3*, dim3*, dim3*, int*) {
  state().kernels[host] = {reinterpret_cast<Fatbin*>(fb), name, 0};
}
void __cudaRegisterVar(void** fb, char* host, char*, const char* name, int, size_t bytes, int,
                       int) {
  state().variables[host] = {reinterpret_cast<Fatbin*>(fb), name, bytes};
}
void __cudaRegisterManagedVar(void** fb, void** host, char*, const char* name, int, size_t bytes,
                              int, int) {
  state().variables[host] = {reinterpret_cast<Fatbin*>(fb), name, bytes};
}
char __cudaInitModule(void**) { return 1; }
unsigned __cudaPushCallConfiguration(dim3 g, dim3 b, size_t shared, void* stream) {
  state().calls.push_back({g, b, shared, static_cast<cudaStream_t>(stream)});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* g, dim3* b, size_t* shared, void* stream) {
  auto& calls = state().calls;
  if (calls.empty()) return set(cudaErrorMissingConfiguration);
  const Call c = calls.back();
  calls.pop_back();
  *g = c.grid, *b = c.block, *shared = c.shared;
  *static_cast<cudaStream_t*>(stream) = c.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* k, const void* f) {
  *k = reinterpret_cast<cudaKernel_t>(const_cast<void*>(f));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t k, dim3 g, dim3 b, void** a, size_t shared,
                               cudaStream_t stream) {
  return launchKernel(reinterpret_cast<const void*>(k), g, b, a, shared, stream);
}
cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t k, dim3 g, dim3 b, void** a, size_t shared,
                                    cudaStream_t stream) {
  return launchKernel(reinterpret_cast<const void*>(k), g, b, a, shared, stream);
}
cudaError_t cudaLaunchKernel(const void* f, dim3 g, dim3 b, void** a, size_t shared,
                             cudaStream_t stream) {
  return launchKernel(f, g, b, a, shared, stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* c, const void* f, void** a) {
  for (unsigned k = 0; k < c->numAttrs; ++k)
    if (c->attrs[k].id == cudaLaunchAttributeClusterDimension) {
      const auto d = c->attrs[k].val.clusterDim;
      if (d.x * d.y * d.z > 1) return set(cudaErrorNotSupported);
    }
  return launchKernel(f, c->gridDim, c->blockDim, a, c->dynamicSmemBytes, c->stream);
}
cudaError_t cudaLaunchCooperativeKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t) {
  return set(cudaErrorNotSupported);
}

// --------------------------------------------------------------------------------------------
// memory

cudaError_t cudaMalloc(void** p, size_t n) { return allocateInto(p, n, MemoryKind::Device); }
cudaError_t cudaMallocAsync(void** p, size_t n, cudaStream_t stream) {
  state().counter.operate(stream);
  return allocateInto(p, n, MemoryKind::Device);
}
cudaError_t cudaMallocManaged(void** p, size_t n, unsigned) {
  return allocateInto(p, n, MemoryKind::Managed);
}
cudaError_t cudaMallocHost(void** p, size_t n) { return allocateInto(p, n, MemoryKind::Pinned); }
cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) {
  return allocateInto(p, n, MemoryKind::Pinned);
}
cudaError_t cudaHostGetDevicePointer(void** d, void* h, unsigned) {
  *d = h;
  return cudaSuccess;
}
cudaError_t cudaMallocPitch(void** p, size_t* pitch, size_t w, size_t h) {
  *pitch = (w + 511) / 512 * 512;
  return allocateInto(p, *pitch * h, MemoryKind::Device);
}
cudaError_t cudaFree(void* p) { return freePointer(p); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  state().counter.operate(stream);
  return freePointer(p);
}
cudaError_t cudaFreeHost(void* p) { return freePointer(p); }
cudaError_t cudaMemcpy(void* d, const void* s, size_t n, cudaMemcpyKind k) {
  countBlocking();
  return copy(d, s, n, k);
}
cudaError_t cudaMemcpyAsync(void* d, const void* s, size_t n, cudaMemcpyKind k,
                            cudaStream_t stream) {
  countAsync(stream, d, s);
  return copy(d, s, n, k);
}
cudaError_t cudaMemcpy2D(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                         cudaMemcpyKind k) {
  countBlocking();
  return copy2D(d, dp, s, sp, w, h, k);
}
cudaError_t cudaMemcpy2DAsync(void* d, size_t dp, const void* s, size_t sp, size_t w, size_t h,
                              cudaMemcpyKind k, cudaStream_t stream) {
  countAsync(stream, d, s);
  return copy2D(d, dp, s, sp, w, h, k);
}
cudaError_t cudaMemcpyPeerAsync(void* d, int, const void* s, int, size_t n, cudaStream_t stream) {
  countAsync(stream, d, s);
  return copy(d, s, n, cudaMemcpyDeviceToDevice);
}
cudaError_t cudaMemset(void* d, int v, size_t n) {
  countBlocking();
  return fill(d, v, n);
}
cudaError_t cudaMemsetAsync(void* d, int v, size_t n, cudaStream_t stream) {
  state().counter.operate(stream);
  return fill(d, v, n);
}
cudaError_t cudaMemset2D(void* d, size_t pitch, int v, size_t w, size_t h) {
  countBlocking();
  return fill2D(d, pitch, v, w, h);
}
cudaError_t cudaMemset2DAsync(void* d, size_t pitch, int v, size_t w, size_t h,
                              cudaStream_t stream) {
  state().counter.operate(stream);
  return fill2D(d, pitch, v, w, h);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *total = 16ull << 30;
  *free = *total - std::min(*total, allocatedBytes());
  return cudaSuccess;
}
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* s, size_t n, size_t offset,
                               cudaMemcpyKind) {
  countBlocking();
  return copyToSymbol(symbol, s, n, offset);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* s, size_t n, size_t offset,
                                    cudaMemcpyKind, cudaStream_t stream) {
  countAsync(stream, s, s);
  return copyToSymbol(symbol, s, n, offset);
}
cudaError_t cudaMemcpyFromSymbol(void* d, const void* symbol, size_t n, size_t offset,
                                 cudaMemcpyKind) {
  countBlocking();
  return copyFromSymbol(d, symbol, n, offset);
}
cudaError_t cudaMemcpyFromSymbolAsync(void* d, const void* symbol, size_t n, size_t offset,
                                      cudaMemcpyKind, cudaStream_t stream) {
  countAsync(stream, d, d);
  return copyFromSymbol(d, symbol, n, offset);
}
cudaError_t cudaGetSymbolAddress(void** p, const void* symbol) {
  Variable* v = findVariable(symbol);
  if (!v) return set(cudaErrorInvalidSymbol);
  *p = reinterpret_cast<void*>(v->addr);
  return cudaSuccess;
}
cudaError_t cudaGetSymbolSize(size_t* n, const void* symbol) {
  Variable* v = findVariable(symbol);
  if (!v) return set(cudaErrorInvalidSymbol);
  *n = v->bytes;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  std::memset(a, 0, sizeof *a);
  Range r;
  a->device = -2;
  a->type = cudaMemoryTypeUnregistered;
  if (!findRange(reinterpret_cast<uint64_t>(p), r)) return cudaSuccess;
  a->device = 0;
  a->type = r.kind == MemoryKind::Pinned    ? cudaMemoryTypeHost
            : r.kind == MemoryKind::Managed ? cudaMemoryTypeManaged
                                            : cudaMemoryTypeDevice;
  a->devicePointer = const_cast<void*>(p);
  a->hostPointer = a->type == cudaMemoryTypeDevice ? nullptr : const_cast<void*>(p);
  return cudaSuccess;
}
cudaError_t cudaMemPrefetchAsync(const void*, size_t, cudaMemLocation, unsigned,
                                 cudaStream_t stream) {
  state().counter.operate(stream);
  return cudaSuccess;
}
cudaError_t cudaHostRegister(void* p, size_t n, unsigned) {
  state().counter.allocate();
  registerRange(p, n, MemoryKind::Symbol);
  return cudaSuccess;
}

// --------------------------------------------------------------------------------- streams and
// events

cudaError_t cudaStreamCreate(cudaStream_t* s) {
  state().counter.allocate();
  *s = reinterpret_cast<cudaStream_t>(new int);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return cudaStreamCreate(s); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned, int) {
  return cudaStreamCreate(s);
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  state().counter.allocate();
  state().counter.forget(s);
  delete reinterpret_cast<int*>(s);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) {
  state().counter.wait();
  return state().last;
}
cudaError_t cudaStreamQuery(cudaStream_t) {
  state().counter.wait();
  return state().last;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t, unsigned) {
  state().counter.operate(s);
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* s) {
  *s = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaStreamGetFlags(cudaStream_t, unsigned* f) {
  *f = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t, int* p) {
  *p = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  return set(cudaErrorNotSupported);
}
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*) { return set(cudaErrorNotSupported); }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long) {
  return set(cudaErrorNotSupported);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return set(cudaErrorNotSupported); }
cudaError_t cudaGraphDestroy(cudaGraph_t) { return set(cudaErrorNotSupported); }
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return set(cudaErrorNotSupported); }
cudaError_t cudaLaunchHostFunc(cudaStream_t s, cudaHostFn_t fn, void* data) {
  state().counter.operate(s);
  fn(data);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* e) {
  state().counter.allocate();
  *e = reinterpret_cast<cudaEvent_t>(new Event);
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return cudaEventCreate(e); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  state().counter.operate(s);
  auto* v = reinterpret_cast<Event*>(e);
  v->time = std::chrono::steady_clock::now();
  v->recorded = true;
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t) {
  state().counter.wait();
  return state().last;
}
cudaError_t cudaEventQuery(cudaEvent_t) {
  state().counter.wait();
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  state().counter.allocate();
  delete reinterpret_cast<Event*>(e);
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t a, cudaEvent_t b) {
  auto *x = reinterpret_cast<Event*>(a), *y = reinterpret_cast<Event*>(b);
  if (!x->recorded || !y->recorded) return set(cudaErrorInvalidResourceHandle);
  *ms = std::chrono::duration<float, std::milli>(y->time - x->time)
            .count();  // time of the interpreter, not of a GPU
  return cudaSuccess;
}

// ---------------------------------------------------------------------------------------------
// device

cudaError_t cudaDeviceSynchronize() {
  state().counter.wait();
  return state().last;
}
cudaError_t cudaDeviceReset() {
  state().counter.wait();
  state().last = cudaSuccess;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* d) {
  *d = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int d) { return d == 0 ? cudaSuccess : set(cudaErrorInvalidDevice); }
cudaError_t cudaGetDeviceCount(int* n) {
  *n = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDeviceFlags(unsigned) { return cudaSuccess; }
cudaError_t cudaDriverGetVersion(int* v) {
  *v = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* v) {
  *v = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetLimit(size_t* v, cudaLimit) {
  *v = 1024;
  return cudaSuccess;
}
cudaError_t cudaDeviceSetLimit(cudaLimit, size_t) { return cudaSuccess; }
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaDeviceCanAccessPeer(int* v, int, int) {
  *v = 0;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int device) {
  if (device != 0) return set(cudaErrorInvalidDevice);
  switch (a) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY:
      *v = 1024;
      break;
    case cudaDevAttrMaxBlockDimZ:
      *v = 64;
      break;
    case cudaDevAttrMaxGridDimX:
      *v = 0x7fffffff;
      break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ:
      *v = 65535;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *v = 48 * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *v = sharedOptIn();
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *v = sharedPerSm();
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *v = options.sm >= 80 ? 1024 : 0;
      break;
    case cudaDevAttrTotalConstantMemory:
      *v = 65536;
      break;
    case cudaDevAttrWarpSize:
      *v = 32;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *v = 65536;
      break;
    case cudaDevAttrMultiProcessorCount:
      *v = 4;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *v = threadsPerSm();
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *v = options.blocksPerSm;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *v = options.sm / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *v = options.sm % 10;
      break;
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrMemoryPoolsSupported:
      *v = 1;
      break;
    case cudaDevAttrL2CacheSize:
      *v = 4 << 20;
      break;
    case cudaDevAttrClockRate:
      *v = 1000000;
      break;
    case cudaDevAttrMemoryClockRate:
      *v = 1000000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *v = 256;
      break;
    default:
      *v = 0;
      break;
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device != 0) return set(cudaErrorInvalidDevice);
  std::memset(p, 0, sizeof *p);
  std::snprintf(p->name, sizeof p->name, "ptxvm CPU executor (pretends sm_%d)", options.sm);
  p->totalGlobalMem = 16ull << 30;
  p->sharedMemPerBlock = 48 * 1024;
  p->sharedMemPerBlockOptin = static_cast<size_t>(sharedOptIn());
  p->sharedMemPerMultiprocessor = static_cast<size_t>(sharedPerSm());
  p->reservedSharedMemPerBlock = 1024;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536;
  p->warpSize = 32;
  p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
  p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 0x7fffffff;
  p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->totalConstMem = 65536;
  p->major = options.sm / 10;
  p->minor = options.sm % 10;
  p->multiProcessorCount = 4;
  p->maxThreadsPerMultiProcessor = threadsPerSm();
  p->maxBlocksPerMultiProcessor = options.blocksPerSm;
  p->unifiedAddressing = p->managedMemory = p->concurrentKernels = 1;
  p->l2CacheSize = 4 << 20;
  p->memoryBusWidth = 256;
  p->textureAlignment = 512;
  return cudaSuccess;
}

// ------------------------------------------------------------------------------------------
// functions

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* a, const void* host) {
  std::memset(a, 0, sizeof *a);
  Module* m = nullptr;
  Function* f = findKernel(host, &m);
  if (!f) return set(cudaErrorInvalidDeviceFunction);
  auto limit = state().sharedLimit.find(host);
  a->ptxVersion = a->binaryVersion = m->sm;
  a->maxThreadsPerBlock = f->maxThreads ? f->maxThreads : 1024;
  a->sharedSizeBytes = f->sharedBytes;
  a->localSizeBytes = f->localBytes;
  a->numRegs = std::min(255, std::max(16, f->liveRegisters));
  a->maxDynamicSharedSizeBytes = limit == state().sharedLimit.end()
                                     ? 48 * 1024 - static_cast<int>(f->sharedBytes)
                                     : limit->second;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* host, cudaFuncAttribute a, int v) {
  Function* f = findKernel(host, nullptr);
  if (!f) return set(cudaErrorInvalidDeviceFunction);
  if (a == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (v < 0 || v + static_cast<int>(f->sharedBytes) > sharedOptIn())
      return set(cudaErrorInvalidValue);
    state().sharedLimit[host] = v;
  }
  return cudaSuccess;
}
cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return cudaSuccess; }
cudaError_t cudaFuncGetName(const char** name, const void* host) {
  Function* f = findKernel(host, nullptr);
  if (!f) return set(cudaErrorInvalidDeviceFunction);
  *name = f->name.c_str();
  return cudaSuccess;
}
// By threads and shared memory only: registers are not known without ptxas.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n, const void* host,
                                                                   int threads, size_t dynamic,
                                                                   unsigned) {
  Function* f = findKernel(host, nullptr);
  if (!f) return set(cudaErrorInvalidDeviceFunction);
  if (threads <= 0) return set(cudaErrorInvalidValue);
  const size_t shared = f->sharedBytes + dynamic + (options.sm >= 80 ? 1024 : 0);
  *n = std::min(options.blocksPerSm, threadsPerSm() / ((threads + 31) / 32 * 32));
  if (shared) *n = std::min<int>(*n, sharedPerSm() / static_cast<int>(shared));
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n, const void* host, int threads,
                                                          size_t dynamic) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(n, host, threads, dynamic, 0);
}
cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* host, int blocks,
                                                      int) {
  Function* f = findKernel(host, nullptr);
  if (!f || blocks <= 0) return set(cudaErrorInvalidValue);
  const int each = sharedPerSm() / blocks - static_cast<int>(f->sharedBytes) - 1024;
  *bytes = each > 0 ? static_cast<size_t>(each) : 0;
  return cudaSuccess;
}

// ---------------------------------------------------------------------------------------------
// errors

cudaError_t cudaGetLastError() {
  const cudaError_t e = state().last;
  state().last = cudaSuccess;
  return e;
}
cudaError_t cudaPeekAtLastError() { return state().last; }
const char* cudaGetErrorName(cudaError_t e) { return errorText(e).name; }
const char* cudaGetErrorString(cudaError_t e) { return errorText(e).text; }

cudaError_t cudaProfilerStart() { return cudaSuccess; }
cudaError_t cudaProfilerStop() { return cudaSuccess; }

// ------------------------------------------------------------------------------------- ptxvm's
// own calls

const char* ptxvm_last_launch_stats(ptxvm_stats* out) {
  if (out) *out = state().lastStats;
  return state().lastKernel.empty() ? nullptr : state().lastKernel.c_str();
}
int ptxvm_total_stats(const char* kernel, ptxvm_stats* out) {
  ptxvm_stats sum{};
  int matched = 0;
  for (auto& [name, s] : state().totals)
    if (!kernel || name == kernel) add(sum, s), ++matched;
  if (out) *out = sum;
  return matched;
}
void ptxvm_count_calls(const void* stream, ptxvm_calls* out) { *out = state().counter.of(stream); }
const char* ptxvm_last_error(void) { return state().message.c_str(); }
void ptxvm_clear_error(void) {
  state().message.clear();
  state().last = cudaSuccess;
}
int ptxvm_set_option(const char* name, const char* value) {
  (void)state();
  return setOption(name, value) ? 1 : 0;
}

}  // extern "C"
