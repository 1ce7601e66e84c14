#include "loop.h"

#include "system_error.h"

#include <sys/signalfd.h>

#include <csignal>
#include <ctime>
#include <optional>

namespace shunt::load {

Loop::Loop() : epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1})
    ::sigaddset(&set, signal);
  check("sigprocmask", ::sigprocmask(SIG_BLOCK, &set, nullptr));
  signals_ = Fd(check("signalfd", ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)));
  add(signals_.get(), EPOLLIN, nullptr);
}

void Loop::add(int fd, uint32_t events, Source *source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event));
}

void Loop::change(int fd, uint32_t events, Source *source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event));
}

void Loop::remove(int fd) {
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr));
}

Loop::Timer Loop::at(uint64_t time_ns, Work work) {
  const Timer timer{time_ns, timer_count_++};
  timers_.emplace(timer, std::move(work));
  return timer;
}

Loop::Timer Loop::after_ms(uint64_t delay_ms, Work work) {
  return at(now_ns() + delay_ms * kMs, std::move(work));
}

void Loop::run() {
  epoll_event events[512];
  while (!stopped_) {
    std::optional<timespec> wait;
    if (!timers_.empty()) {
      const uint64_t now = now_ns(), next = timers_.begin()->first.first;
      const uint64_t delay = next > now ? next - now : 0;
      wait = timespec{static_cast<time_t>(delay / kSecond), static_cast<long>(delay % kSecond)};
    }
    const int count = ::epoll_pwait2(epoll_.get(), events, 512, wait ? &*wait : nullptr, nullptr);
    if (count < 0 && errno != EINTR)
      throw SystemError("epoll_pwait2", errno);
    for (int i = 0; i < count; i++) {
      if (events[i].data.ptr == nullptr)
        take_signals();
      else
        static_cast<Source *>(events[i].data.ptr)->ready(events[i].events);
    }
    buried_.clear();
    run_timers();
    buried_.clear();
  }
}

void Loop::run_timers() {
  const uint64_t now = now_ns();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const Work work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
}

void Loop::take_signals() {
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGUSR1) {
      if (on_report_)
        on_report_();
    } else if (on_end_) {
      on_end_();
    } else {
      stop();
    }
  }
}

namespace {

uint64_t read_clock(clockid_t clock) {
  timespec time;
  ::clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecond + static_cast<uint64_t>(time.tv_nsec);
}

} // namespace

uint64_t now_ns() { return read_clock(CLOCK_MONOTONIC); }
uint64_t wall_ms() { return read_clock(CLOCK_REALTIME) / kMs; }

} // namespace shunt::load
