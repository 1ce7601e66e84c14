// One side of a connection that carries patterns both ways: sends its own in chunks, with pauses;
// closes its half when that is through; compares every byte that comes, and wants the other's end
// exactly where it must be.
#pragma once

#include "address.h"
#include "loop.h"
#include "pattern.h"

#include <string>

namespace shunt::load {

/** Goes over the wire within an Order. */
struct Pace {
  /** Sends and reads take 1 to so many bytes, by chance; 0: as many as fit. */
  uint32_t chunk_max;
  /** After a chunk, with this chance in a thousand, rests for up to so long. */
  uint16_t pause_permille;
  uint16_t pause_max_ms;
  /** Reads so many bytes a second at most; 0: no limit. */
  uint64_t read_rate;
};
static_assert(sizeof(Pace) == 16);

struct StreamPlan {
  uint32_t send_seed, receive_seed;
  uint64_t send_bytes, receive_bytes;
  Pace pace;
  /** Sends nothing until the other side's stream is over. */
  bool answers = false;
  /** Of one send or read; 0: as much as may be. */
  uint32_t io_size = 0;
};

class Stream : public Source {
public:
  /** Empty: all bytes were right and it ended in order. Called once; it may be buried from there.
   */
  using Done = std::function<void(Stream &, const std::string &problem)>;

  /** @param connecting the socket is not connected yet; `first` is sent before the pattern */
  Stream(Loop &loop, Fd fd, bool connecting, std::string first, const StreamPlan &plan, Done done);
  ~Stream() override;

  void ready(uint32_t events) override;
  /** As from the outside: a reset, and Done with that problem. */
  void abort(const std::string &problem);

  bool connected() const { return connected_; }
  uint64_t sent() const { return sent_; }
  uint64_t received() const { return received_; }

private:
  struct Direction {
    bool over = false, resting = false;
    Loop::Timer timer;
  };

  bool send_first();
  void send_some();
  void receive_some();
  size_t chunk(uint64_t left);
  void rest_perhaps(Direction &direction);
  void rest_for(Direction &direction, uint64_t delay_ns);
  void update();
  void end(const std::string &problem);
  void end_with_errno(const char *what, int code);

  Loop &loop_;
  Fd fd_;
  std::string first_;
  StreamPlan plan_;
  Done done_;
  Pattern send_pattern_, receive_pattern_;
  Random random_;
  Direction sending_, receiving_;
  bool connected_;
  uint32_t interest_;
  uint64_t sent_ = 0, received_ = 0, started_ns_;
};

} // namespace shunt::load
