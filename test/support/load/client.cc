#include "client.h"

namespace shunt::load {

Targets::Targets(Arguments &arguments) {
  for (const std::string &text : arguments.all("to"))
    to_.push_back(parse_address(text));
  for (const std::string &text : arguments.all("from"))
    from_.push_back(parse_ip(text));
  if (to_.empty())
    throw UsageError("--to ADDRESS:PORT is missing");
}

Fd Targets::connect(int &error) {
  const Address &to = to_[turn_ % to_.size()];
  Fd fd = tcp_socket(to.family());
  error = 0;
  if (!from_.empty()) {
    const Address &from = from_[turn_ % from_.size()];
    const int on = 1;
    // Lets connect choose the port, so that one port may serve several destinations.
    ::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (::bind(fd.get(), from.get(), from.size) != 0)
      error = errno;
  }
  turn_++;
  if (error == 0 && ::connect(fd.get(), to.get(), to.size) != 0 && errno != EINPROGRESS)
    error = errno;
  return fd;
}

int socket_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

} // namespace shunt::load
