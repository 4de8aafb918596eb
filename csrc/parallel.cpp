// A job is cut into chunks, and these into slices of neighbours, one for each thread: in call after call a
// thread meets the same part of an array, which then still lies in its own caches. Whoever is done with its
// slice goes on with those of others. The caller works too and returns when every chunk is finished, so it
// never waits for a worker that has not started. State that outlives a job lies in the pool alone:
//
//   claims   (epoch << 32 | chunks not yet claimed) of each slice: one atomic word, so that a claim names its
//            job. A claimed chunk keeps its job alive (the caller waits for it), hence everything else may be
//            read after the claim.
//   pending  chunks not yet finished; the caller leaves at 0.
//
// Only one job runs at a time: a second caller, like a nested one, works through its chunks alone. That is
// never wrong, cannot deadlock, and with the cores already busy costs nothing.
#include "parallel.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace nn {
namespace {

using Clock = std::chrono::steady_clock;

// Long enough to bridge the Python between two kernels, short enough to leave a core to somebody else's
// threads.
constexpr auto kSpin = std::chrono::microseconds(30);

// After that a worker offers its core to others before it sleeps, since a virtual core that has slept takes
// some 50 us to wake: long enough to bridge small kernels that one thread does alone. Whoever took the core
// for kTaken may want it again (another library's threads spin): for kShy the worker sleeps at once, because
// the system lets one that wakes, not one that waits, take the core back.
constexpr auto kOffer = std::chrono::microseconds(300), kTaken = std::chrono::microseconds(500);
constexpr auto kShy = std::chrono::milliseconds(100);

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Polls `ready` for kSpin; false if it never came true.
template <class F> bool spin_until(F&& ready) {
  const auto end = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (Clock::now() < end);
  return ready();
}

// Gives the core to whoever wants it, again and again, while `ready` is false; for kOffer in all.
template <class F> bool offer_until(F&& ready) {
  static thread_local Clock::time_point shy_until;
  Clock::time_point now = Clock::now();
  for (const auto end = now + kOffer; now < end && now >= shy_until;) {
    if (ready()) return true;
    sched_yield();
    const auto before = now;
    now = Clock::now();
    if (now - before > kTaken) shy_until = now + kShy;
  }
  return ready();
}

// Keeps a thread off one of the cores that the process may use.
void keep_off(pthread_t thread, int core) {
  cpu_set_t cores;
  if (core < 0 || sched_getaffinity(getpid(), sizeof cores, &cores) != 0) return;
  CPU_CLR(core, &cores);
  if (CPU_COUNT(&cores) > 0) pthread_setaffinity_np(thread, sizeof cores, &cores);
}

constexpr int kMostThreads = 1024;
thread_local bool inside = false;  // this thread is running a chunk: nested calls are serial

struct Pool {
  struct alignas(64) Slice {
    std::atomic<uint64_t> claims{0};
  };
  Slice slices[kMostThreads];  // the caller's, then the workers'
  std::atomic<int64_t> pending{0};
  std::atomic<int> sleepers{0};
  std::atomic<int> allowed{0};  // workers that take part: their numbers are 1 to that
  std::vector<pthread_t> workers;
  uint64_t epoch = 0;
  int home = -1;  // the core of the last caller

  // The job. Written by the caller before `claims` says so, read only by those who hold a claim.
  ChunkFn f = nullptr;
  void* context = nullptr;
  int64_t n = 0, grain = 1;
  uint32_t chunks = 0;

  std::mutex mutex;
  std::condition_variable work, finished;
  uint64_t calls = 0;  // of sleepers
  std::exception_ptr error;
  std::atomic<int64_t> failed{0};  // the first chunk known to have failed: those behind it need not run

  int sharers() const { return 1 + allowed.load(); }
  int64_t first_chunk(int64_t slice) const { return int64_t(chunks) * slice / sharers(); }

  // A chunk of this slice, if one is left.
  bool claim_and_run(int slice) {
    std::atomic<uint64_t>& claims = slices[size_t(slice)].claims;
    uint64_t c = claims.load(std::memory_order_acquire);
    do {
      if (uint32_t(c) == 0) return false;
    } while (!claims.compare_exchange_weak(c, c - 1, std::memory_order_acq_rel, std::memory_order_acquire));
    const int64_t chunk = first_chunk(slice + 1) - uint32_t(c), begin = chunk * grain;
    try {
      if (chunk < failed.load(std::memory_order_relaxed))
        f(context, begin, begin + grain < n ? begin + grain : n);
    } catch (...) {
      std::lock_guard<std::mutex> lock(mutex);
      if (chunk < failed) failed = chunk, error = std::current_exception();
    }
    finish(1);
    return true;
  }

  // All of one's own slice, then the others'.
  void work_through(int own) {
    for (int i = 0, n = sharers(); i < n; ++i)
      while (claim_and_run((own + i) % n)) {
      }
  }

  void finish(int64_t count) {
    if (pending.fetch_sub(count, std::memory_order_acq_rel) == count) {
      std::lock_guard<std::mutex> lock(mutex);
      finished.notify_one();
    }
  }

  void worker(int number) {
    inside = true;
    FlushDenormals flush;
    auto has_work = [&] {
      const int n = sharers();
      for (int i = 0; i < n && number < n; ++i)
        if (uint32_t(slices[i].claims.load()) != 0) return true;
      return false;
    };
    for (;;) {
      if (!spin_until(has_work) && !offer_until(has_work)) {
        // Who wakes too late for one small job stays awake for the next: it does not ask for work again here.
        std::unique_lock<std::mutex> lock(mutex);
        sleepers.fetch_add(1);
        work.wait(lock, [&, before = calls] { return calls != before || has_work(); });
        sleepers.fetch_sub(1);
      }
      work_through(number);
    }
  }

  void run(int64_t n_, int64_t grain_, uint32_t chunks_, ChunkFn f_, void* context_) {
    f = f_, context = context_, n = n_, grain = grain_, chunks = chunks_;
    error = nullptr, failed = chunks_;
    leave_core_to_caller();
    pending.store(chunks_);
    ++epoch;
    for (int i = 0; i < sharers(); ++i)
      slices[i].claims.store(epoch << 32 | uint64_t(first_chunk(i + 1) - first_chunk(i)));
    if (sleepers.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex);
      ++calls;
      work.notify_all();
    }
    inside = true;
    work_through(0);
    inside = false;
    auto done = [&] { return pending.load(std::memory_order_acquire) == 0; };
    if (!spin_until(done)) {
      std::unique_lock<std::mutex> lock(mutex);
      finished.wait(lock, done);
    }
    std::lock_guard<std::mutex> lock(mutex);  // a worker may still be inside finish()
    if (error) std::rethrow_exception(std::exchange(error, nullptr));
  }

  // Woken while all cores are busy (another library's threads spin for up to 100 ms after their work), a
  // worker would queue behind its caller and stay there. Told by the caller, before it wakes: a worker that
  // still keeps off the core where its caller was last time would have none but the caller's.
  void leave_core_to_caller() {
    const int core = sched_getcpu();
    if (core == home) return;
    home = core;
    for (const pthread_t w : workers) keep_off(w, core);
  }

  // As many workers as the system gives, up to `count`; with none the caller works alone.
  void grow(int count) {
    if (int(workers.size()) >= count) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);  // signals belong to the user's threads
    home = -1;
    try {
      workers.reserve(size_t(count));
      while (int(workers.size()) < count) {
        std::thread one([this, number = 1 + int(workers.size())] { worker(number); });
        workers.push_back(one.native_handle());
        one.detach();
      }
    } catch (const std::system_error&) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
};

struct Threads {
  std::atomic<int> wanted{0};
  std::string reason;
  std::atomic<bool> busy{false};
  Pool* pool =
      nullptr;  // made by the first job, by whoever holds `busy`; leaked at exit: its threads are detached
};

int affinity_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
  const unsigned n = std::thread::hardware_concurrency();
  return n ? int(n) : 1;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Cores that the cgroup's CPU quota allows, rounded up; 0 if there is none. A parent's quota binds its
// children.
int cgroup_quota() {
  double least = 0;
  auto consider = [&](double quota, double period) {
    if (quota > 0 && period > 0 && (least == 0 || quota / period < least)) least = quota / period;
  };
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t a = line.find(':'), b = line.find(':', a + 1);
    if (a == std::string::npos || b == std::string::npos) continue;
    const std::string controllers = line.substr(a + 1, b - a - 1);
    const bool v2 = controllers.empty();
    if (!v2 && ("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
    for (std::string path = line.substr(b + 1);; path.erase(path.rfind('/'))) {
      if (path == "/") path.clear();
      if (v2) {
        const std::string max = first_line("/sys/fs/cgroup" + path + "/cpu.max");
        const size_t space = max.find(' ');
        if (space != std::string::npos && max[0] != 'm')
          consider(atof(max.c_str()), atof(max.c_str() + space));
      } else {
        const std::string folder = "/sys/fs/cgroup/" + controllers + path;
        consider(atof(first_line(folder + "/cpu.cfs_quota_us").c_str()),
                 atof(first_line(folder + "/cpu.cfs_period_us").c_str()));
      }
      if (path.empty()) break;
    }
  }
  return least > 0 ? int(least + 0.999) : 0;
}

void choose_count(Threads& t) {
  const int affinity = affinity_count(), quota = cgroup_quota();
  int count = quota > 0 && quota < affinity ? quota : affinity;
  std::string env = "unset";
  if (const char* text = getenv("NNKERN_NUM_THREADS"); text && *text) {
    char* end;
    const long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > kMostThreads)
      throw std::invalid_argument("NNKERN_NUM_THREADS=" + std::string(text) +
                                  ": a whole number from 1 to 1024 is needed");
    if (value < count) count = int(value);
    env = text;
  }
  t.reason = "affinity " + std::to_string(affinity) + ", cgroup quota " +
             (quota ? std::to_string(quota) : "none") + ", NNKERN_NUM_THREADS " + env;
  t.wanted = count;
}

Threads* the_threads = nullptr;  // set at import, before any fork that could matter

Threads& threads() {
  static Threads& t = *[] {
    auto* made = new Threads;
    choose_count(*made);
    the_threads = made;
    // A child has none of its parent's threads: it starts over, with a pool of its own once it needs one.
    pthread_atfork(nullptr, nullptr, [] {
      the_threads->pool = nullptr;
      the_threads->busy = false;
      inside = false;
    });
    return made;
  }();
  return t;
}

// Equal chunks of at most `grain`, so that no thread waits for another's last one; whole cache lines stay
// whole.
int64_t even(int64_t n, int64_t grain) {
  const int64_t chunks = (n + grain - 1) / grain, size = (n + chunks - 1) / chunks;
  return grain % 64 ? size : (size + 63) / 64 * 64;
}

// Works through the chunks alone; what it calls is serial, too.
void run_alone(int64_t n, int64_t grain, ChunkFn f, void* context) {
  struct Restore {
    bool before = inside;
    ~Restore() { inside = before; }
  } restore;
  inside = true;
  for (int64_t begin = 0; begin < n; begin += grain) f(context, begin, begin + grain < n ? begin + grain : n);
}

}  // namespace

int num_threads() { return threads().wanted; }

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads)
    throw std::invalid_argument("set_num_threads: n must be from 1 to 1024, got " + std::to_string(n));
  threads().wanted = n;
}

const char* num_threads_reason() { return threads().reason.c_str(); }

void parallel_run(int64_t n, int64_t grain, ChunkFn f, void* context) {
  Threads& t = threads();
  grain = even(n, grain);
  const int64_t chunks = (n + grain - 1) / grain;
  const int wanted = t.wanted.load(std::memory_order_relaxed);
  if (inside || wanted == 1 || chunks > UINT32_MAX || t.busy.exchange(true, std::memory_order_acquire))
    return run_alone(n, grain, f, context);
  struct Leave {
    Threads& t;
    ~Leave() {
      inside = false;
      t.busy.store(false, std::memory_order_release);
    }
  } leave{t};
  if (!t.pool) t.pool = new Pool;
  const int helpers = int(chunks < wanted ? chunks : wanted) - 1;
  t.pool->grow(helpers);
  t.pool->allowed = helpers;
  t.pool->run(n, grain, uint32_t(chunks), f, context);
}

#if defined(__x86_64__)
namespace {
constexpr unsigned kFlush = 0x8040;  // FTZ and DAZ
}
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  if ((saved_ & kFlush) != kFlush) _mm_setcsr(unsigned(saved_) | kFlush);
}
FlushDenormals::~FlushDenormals() {
  // Only the two modes go back: exception flags raised meanwhile stay raised, as after any arithmetic.
  if ((saved_ & kFlush) != kFlush) _mm_setcsr((_mm_getcsr() & ~kFlush) | (unsigned(saved_) & kFlush));
}
#elif defined(__aarch64__)
FlushDenormals::FlushDenormals() {
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" ::"r"(saved_ | (1u << 24)));
}
FlushDenormals::~FlushDenormals() { asm volatile("msr fpcr, %0" ::"r"(saved_)); }
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

}  // namespace nn
