// Descriptors over real sockets: they arrive whole, closed on exec and owned; what does not fit
// leaves nothing open.

#include "../src/net/fd_passing.h"
#include "../src/system_error.h"
#include "expect.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

using namespace shunt;

namespace {

size_t open_fds() {
  size_t count = 0;
  DIR *folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr)
    count++;
  ::closedir(folder);
  return count;
}

struct Pair {
  Fd left, right;
  Pair() {
    int ends[2];
    check("socketpair", ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    left = Fd(ends[0]);
    right = Fd(ends[1]);
  }
};

std::span<const uint8_t> bytes(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

std::string text(const Received &received) {
  return {received.message.begin(), received.message.end()};
}

template <typename Action> int code_of(Action action) {
  try {
    action();
  } catch (const SystemError &failure) {
    return failure.code();
  }
  return 0;
}

bool same_file(int left, int right) {
  struct stat a, b;
  check("fstat", ::fstat(left, &a));
  check("fstat", ::fstat(right, &b));
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

void descriptors_arrive_with_their_message() {
  Pair pair;
  EXPECT(!receive_with_fds(pair.right.get(), 100));
  Pair given;
  const int sent[] = {given.left.get(), given.right.get()};
  send_with_fds(pair.left.get(), bytes("two"), sent);
  send_with_fds(pair.left.get(), bytes("none"), {});
  const auto received = receive_with_fds(pair.right.get(), 100);
  EXPECT(received && text(*received) == "two" && received->fds.size() == 2);
  EXPECT(same_file(received->fds[0].get(), given.left.get()));
  EXPECT(same_file(received->fds[1].get(), given.right.get()));
  for (const Fd &fd : received->fds)
    EXPECT(::fcntl(fd.get(), F_GETFD) == FD_CLOEXEC);
  const auto plain = receive_with_fds(pair.right.get(), 100);
  EXPECT(plain && text(*plain) == "none" && plain->fds.empty());
  pair.left.reset();
  const auto end = receive_with_fds(pair.right.get(), 100);
  EXPECT(end && end->message.empty());

  Pair unread;
  send_with_fds(unread.left.get(), bytes("never read"), {});
  unread.right.reset();
  const auto reset = receive_with_fds(unread.left.get(), 100);
  EXPECT(reset && reset->message.empty());
}

void as_many_as_it_says() {
  Pair pair;
  const std::vector<int> many(kMaxPassedFds, pair.left.get());
  send_with_fds(pair.left.get(), bytes("many"), many);
  const auto received = receive_with_fds(pair.right.get(), 100);
  EXPECT(received && received->fds.size() == kMaxPassedFds);
  const std::vector<int> more(kMaxPassedFds + 1, pair.left.get());
  EXPECT(code_of([&] { send_with_fds(pair.left.get(), bytes("more"), more); }) == EINVAL);
  EXPECT(code_of([&] { send_with_fds(pair.left.get(), {}, {}); }) == EINVAL);
}

void what_does_not_fit_leaves_nothing_open() {
  Pair pair;
  const std::vector<int> some(10, pair.left.get());
  send_with_fds(pair.left.get(), bytes("some"), some);
  const size_t before = open_fds();
  rlimit limit{};
  check("getrlimit", ::getrlimit(RLIMIT_NOFILE, &limit));
  // Room for a few of them: the lowest free descriptors are below the limit, the rest above.
  const rlimit tight{static_cast<rlim_t>(pair.right.get()) + 4, limit.rlim_max};
  check("setrlimit", ::setrlimit(RLIMIT_NOFILE, &tight));
  const int code = code_of([&] { receive_with_fds(pair.right.get(), 100); });
  check("setrlimit", ::setrlimit(RLIMIT_NOFILE, &limit));
  EXPECT(code == EMFILE);
  EXPECT(open_fds() == before);
}

void a_peer_that_does_not_read_is_an_error_not_a_wait() {
  Pair pair;
  const std::string large(64 * 1024, 'x');
  int code = 0;
  for (int i = 0; i < 100 && code == 0; i++)
    code = code_of([&] { send_with_fds(pair.left.get(), bytes(large), {}); });
  EXPECT(code == EAGAIN || code == EMSGSIZE);
  pair.right.reset();
  EXPECT(code_of([&] { send_with_fds(pair.left.get(), bytes("x"), {}); }) == EPIPE);
}

void listening_by_name() {
  const std::string path = "/tmp/shunt-fd-passing-" + std::to_string(::getpid());
  EXPECT(code_of([&] { connect_unix(path); }) == ENOENT);
  {
    const Fd listener = listen_unix(path, 0600, 1);
    struct stat file;
    check("stat", ::stat(path.c_str(), &file));
    EXPECT((file.st_mode & 0777) == 0600);
    EXPECT(code_of([&] { listen_unix(path, 0600, 1); }) == EADDRINUSE);
    std::vector<Fd> clients;
    int code = 0;
    for (int i = 0; i < 10 && code == 0; i++)
      code = code_of([&] { clients.push_back(connect_unix(path)); });
    EXPECT(code == EAGAIN);
    const ucred who = peer_credentials(clients[0].get());
    EXPECT(who.pid == ::getpid() && who.uid == ::getuid());
  }
  EXPECT(code_of([&] { connect_unix(path); }) == ECONNREFUSED);
  ::unlink(path.c_str());
  EXPECT(code_of([&] { connect_unix(std::string(200, 'x')); }) == ENAMETOOLONG);
  const std::string abstract = std::string(1, '\0') + path;
  const Fd nameless = listen_unix(abstract, 0600, 1);
  EXPECT(static_cast<bool>(connect_unix(abstract)));
}

} // namespace

int main() {
  const size_t before = open_fds();
  descriptors_arrive_with_their_message();
  as_many_as_it_says();
  what_does_not_fit_leaves_nothing_open();
  a_peer_that_does_not_read_is_an_error_not_a_wait();
  listening_by_name();
  EXPECT(open_fds() == before);
  return test::failures;
}
