#include "connect_engine.h"

#include "../system_error.h"
#include "sockets.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>

namespace shunt {

namespace {

// Request ids have 32 bits, so this value cannot be one.
constexpr uint64_t kWakeTag = ~0ULL;
constexpr int kMaxEvents = 64;

} // namespace

ConnectEngine::ConnectEngine(Done done)
    : done_(std::move(done)), epoll_(check("epoll_create1", ::epoll_create1(EPOLL_CLOEXEC))),
      wake_(check("eventfd", ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeTag;
  check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event));
  thread_ = std::thread([this] { run(); });
}

ConnectEngine::~ConnectEngine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake();
  thread_.join();
}

void ConnectEngine::submit(ConnectRequest request) {
  {
    const std::lock_guard lock(mutex_);
    const uint32_t id = request.id;
    commands_.push_back({std::move(request), id});
  }
  wake();
}

void ConnectEngine::cancel(uint32_t id) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back({std::nullopt, id});
  }
  wake();
}

void ConnectEngine::wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the thread is about to wake anyway.
  [[maybe_unused]] const ssize_t written = ::write(wake_.get(), &one, sizeof one);
}

void ConnectEngine::run() {
  epoll_event events[kMaxEvents];
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events, kMaxEvents, wait_ms());
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 == kWakeTag) {
        uint64_t ignored;
        [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &ignored, sizeof ignored);
        continue;
      }
      const auto id = static_cast<uint32_t>(events[i].data.u64);
      const auto found = pending_.find(id);
      if (found == pending_.end())
        continue;
      int error = 0;
      socklen_t size = sizeof error;
      if (::getsockopt(found->second.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
      finish(id, error);
    }
    {
      const std::lock_guard lock(mutex_);
      if (stop_)
        return;
    }
    take_commands();
    expire();
  }
}

void ConnectEngine::take_commands() {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const Command &command : commands) {
    if (command.request)
      start(*command.request);
    else
      finish(command.id, ECANCELED);
  }
}

void ConnectEngine::start(const ConnectRequest &request) {
  Fd fd;
  try {
    fd = outgoing_tcp(request.to.family(), request.mark, request.source);
    if (::connect(fd.get(), request.to.address(), request.to.size) == 0) {
      done_(request.id, std::move(fd), 0);
      return;
    }
    if (errno != EINPROGRESS)
      throw SystemError("connect", errno);
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.u64 = request.id;
    check("epoll_ctl", ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event));
  } catch (const SystemError &failure) {
    fd.reset();
    done_(request.id, Fd(), failure.code());
    return;
  }
  auto deadline = deadlines_.end();
  if (request.timeout_ms != 0)
    deadline = deadlines_.emplace(Clock::now() + std::chrono::milliseconds(request.timeout_ms),
                                  request.id);
  pending_.emplace(request.id, Pending{std::move(fd), deadline});
}

/** Nothing happens for an id that is not pending: a cancellation may come too late. */
void ConnectEngine::finish(uint32_t id, int error) {
  const auto found = pending_.find(id);
  if (found == pending_.end())
    return;
  Fd fd = std::move(found->second.fd);
  if (found->second.deadline != deadlines_.end())
    deadlines_.erase(found->second.deadline);
  pending_.erase(found);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
  if (error != 0)
    fd.reset();
  done_(id, std::move(fd), error);
}

void ConnectEngine::expire() {
  const auto now = Clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now)
    finish(deadlines_.begin()->second, ETIMEDOUT);
}

int ConnectEngine::wait_ms() const {
  if (deadlines_.empty())
    return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(deadlines_.begin()->first - Clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60'000));
}

} // namespace shunt
