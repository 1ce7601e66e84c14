// `load serve --on ADDRESS:PORT=BEHAVIOUR ...`: endpoints, good ones and bad ones. It says when it
// listens, reports on SIGUSR1 and at its end what it saw.
#pragma once

#include "arguments.h"
#include "behaviour.h"
#include "json.h"
#include "loop.h"
#include "stream.h"

#include <map>
#include <memory>
#include <set>

namespace shunt::load {

struct Order;
class Visitor;

/** What one listening address saw. */
struct Sight {
  uint64_t accepted = 0, open = 0, bytes_in = 0, bytes_out = 0;
  /** Connections by how they ended. */
  uint64_t closed = 0, reset = 0, ended_by_us = 0;
  /** Without one byte. */
  uint64_t silent = 0;
  uint64_t streams = 0, wrong_streams = 0;
  std::string first_problem;

  Json json() const;
};

class Listener : public Source {
public:
  Listener(Loop &loop, const std::string &spec);
  ~Listener() override;

  void ready(uint32_t events) override;
  void forget(Visitor &visitor);
  void relay_order(Visitor &visitor, Fd fd, const Order &order);
  Json json() const;

  Sight sight;

private:
  void start();
  void accept_some(int at_most);
  void meet(Fd fd);

  Loop &loop_;
  std::string address_text_;
  Address address_;
  Behaviour behaviour_;
  Fd fd_;
  std::vector<Fd> fillers_;
  std::map<Source *, std::unique_ptr<Source>> guests_;
};

/** Serves until it is told to end. */
int serve(Arguments &arguments);

} // namespace shunt::load
