// Stress of the pool and the allocator, for plain and sanitizer builds. Prints "ok"; any failure exits
// non-zero.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "memory.h"
#include "parallel.h"

#define CHECK(x)                                             \
  if (!(x)) {                                                \
    fprintf(stderr, "failed: %s (line %d)\n", #x, __LINE__); \
    _exit(1);                                                \
  }

static void every_chunk_once(int64_t n, int64_t grain) {
  std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
  nn::parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    CHECK(begin < end && end - begin <= grain);
    for (int64_t i = begin; i < end; ++i) seen[size_t(i)]++;
  });
  for (auto& s : seen) CHECK(s == 1);
}

// Where chunks begin, and where the last one ends.
static std::set<int64_t> cuts(int64_t n, int64_t grain) {
  std::set<int64_t> found;
  std::mutex one;
  nn::parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard<std::mutex> lock(one);
    found.insert(begin), found.insert(end);
  });
  return found;
}

static void chunks_are_equal() {
  CHECK((cuts(9, 8) == std::set<int64_t>{0, 5, 9}));
  CHECK((cuts(36, 16) == std::set<int64_t>{0, 12, 24, 36}));
  CHECK((cuts(600, 256) == std::set<int64_t>{0, 256, 512, 600}));  // multiples of 64 stay such
  CHECK((cuts(1000, 640) == std::set<int64_t>{0, 512, 1000}));
}

static void threads_do_not_change_the_chunks() {
  for (int64_t grain : {1, 7, 64}) {
    nn::set_num_threads(1);
    const std::set<int64_t> alone = cuts(1000, grain);
    nn::set_num_threads(3);
    CHECK(cuts(1000, grain) == alone);
  }
}

// The first chunk ends when all others have: its thread's other chunks must go to somebody else.
static void idle_threads_take_what_others_have_not_begun() {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> done{0};
    nn::parallel_for(60, 1, [&](int64_t begin, int64_t) {
      if (begin > 0) return void(done++);
      while (done < 59) std::this_thread::yield();
    });
  }
}

static void lowest_error_comes_back() {
  for (int round = 0; round < 50; ++round) {
    try {
      nn::parallel_for(64, 1, [&](int64_t begin, int64_t) {
        if (begin >= 20) throw std::runtime_error(std::to_string(begin));  // in every thread's part
      });
      CHECK(false);
    } catch (const std::runtime_error& e) {
      CHECK(std::string(e.what()) == "20");
    }
  }
}

static void nested_calls_are_serial() {
  std::atomic<int> total{0};
  nn::parallel_for(8, 1, [&](int64_t, int64_t) {
    const auto outer = std::this_thread::get_id();
    nn::parallel_for(8, 1, [&](int64_t, int64_t) {
      CHECK(std::this_thread::get_id() == outer);
      total++;
    });
  });
  CHECK(total == 64);
}

static void many_callers() {
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([] {
      for (int i = 0; i < 200; ++i) every_chunk_once(97, 7);
    });
  for (auto& c : callers) c.join();
}

static void blocks_stay_apart() {
  std::vector<std::thread> workers;
  for (int t = 0; t < 4; ++t)
    workers.emplace_back([t] {
      unsigned seed = unsigned(t);
      std::vector<std::pair<char*, size_t>> held;
      for (int i = 0; i < 3000; ++i) {
        if (held.size() < 20) {
          const size_t n = size_t(rand_r(&seed)) % (i % 50 == 0 ? 3000000 : 5000);
          char* p = static_cast<char*>(nn::allocate(n));
          CHECK(reinterpret_cast<uintptr_t>(p) % 64 == 0);
          memset(p, t + 1, n);
          held.emplace_back(p, n);
        } else {
          const size_t k = size_t(rand_r(&seed)) % held.size();
          auto [p, n] = held[k];
          for (size_t j = 0; j < n; j += 97) CHECK(p[j] == t + 1);
          nn::release(p);
          held.erase(held.begin() + long(k));
        }
      }
      for (auto& h : held) nn::release(h.first);
    });
  for (auto& w : workers) w.join();
}

static void children_work(int count) {
  for (int i = 0; i < count; ++i) {
    every_chunk_once(100, 3);
    const pid_t child = fork();
    if (child == 0) {
      alarm(10);
      every_chunk_once(100, 3);
      nn::release(nn::allocate(100000));
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

int main(int argc, char**) {
  nn::set_num_threads(3);
  for (int64_t n : {1, 2, 63, 64, 65, 1000}) every_chunk_once(n, 8);
  chunks_are_equal();
  threads_do_not_change_the_chunks();
  idle_threads_take_what_others_have_not_begun();
  lowest_error_comes_back();
  nested_calls_are_serial();
  many_callers();
  blocks_stay_apart();
  if (argc > 1) children_work(100);
  for (int n : {1, 4, 2}) {
    nn::set_num_threads(n);
    every_chunk_once(1000, 10);
  }
  puts("ok");
}
