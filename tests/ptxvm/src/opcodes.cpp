// SPDX-License-Identifier: MIT
// The two halves of decoding, and opcodes that steer control flow.
#include "exec.hpp"
#include "ptx_parser.hpp"

namespace ptxvm {

Build::Build(Ins& ins, const std::string& text) : i(ins), full(text) {
  size_t begin = 0;
  for (size_t k = 0; k <= text.size(); ++k)
    if (k == text.size() || text[k] == '.') {
      words.push_back(text.substr(begin, k - begin));
      begin = k + 1;
    }
  used.assign(words.size(), false);
  used[0] = true;
}

bool Build::take(const char* word) {
  for (size_t k = 1; k < words.size(); ++k)
    if (!used[k] && words[k] == word) return used[k] = true;
  return false;
}

Type Build::takeType() {
  for (size_t k = 1; k < words.size(); ++k) {
    if (used[k]) continue;
    const Type t = typeFromName(words[k]);
    if (t == Type::None) continue;
    used[k] = true;
    return t;
  }
  return Type::None;
}

Type Build::needType() {
  const Type t = takeType();
  if (t == Type::None) unsupported("no type");
  return t;
}

Rnd Build::takeRounding(Rnd otherwise) {
  static const std::pair<const char*, Rnd> names[] = {
      {"rn", Rnd::RN},   {"rz", Rnd::RZ},   {"rm", Rnd::RM},   {"rp", Rnd::RP},  {"rna", Rnd::RNA},
      {"rni", Rnd::RNI}, {"rzi", Rnd::RZI}, {"rmi", Rnd::RMI}, {"rpi", Rnd::RPI}};
  for (auto& [name, rnd] : names)
    if (take(name)) return rnd;
  return otherwise;
}

void Build::unsupported(const std::string& why) {
  fail("unsupported PTX instruction '" + full + "'" + (why.empty() ? "" : " (" + why + ")"));
}

void Build::finish() {
  for (size_t k = 0; k < words.size(); ++k)
    if (!used[k]) unsupported("modifier '." + words[k] + "'");
  if (!i.fn && i.ctl == Ctl::Plain) unsupported("no handler for this type");
}

namespace {

struct Table {
  OpTable all;
  Table() {
    for (const OpTable* t :
         {&integerOps(), &floatOps(), &convertOps(), &memoryOps(), &warpOps(), &controlOps()})
      all.insert(t->begin(), t->end());
  }
};

// The expectations of the instruction decoded last; parsing is single-threaded.
struct Expected {
  std::vector<int> want;
  int optional = 0;
} expected;

void nothing(Machine&, Warp&, const Ins&, uint32_t) {}

void trap(Machine& m, Warp& w, const Ins& i, uint32_t mask) {
  m.fault(w, __builtin_ctz(mask), i, "TRAP executed");
}

void yield(Machine& m, Warp&, const Ins&, uint32_t) { m.yielded = true; }

void buildBranch(Build& b) {
  b.take("uni");
  b.i.ctl = Ctl::Branch;
  b.i.cls = Class::Control;
  b.want = {Build::LabelOperand};
}
void buildIndexedBranch(Build& b) {
  if (!b.take("idx")) b.unsupported();
  b.take("uni");
  b.i.ctl = Ctl::BranchIndexed;
  b.i.cls = Class::Control;
  b.want = {Build::AnyWidth, Build::LabelOperand};
}
void buildReturn(Build& b) {
  b.take("uni");
  b.i.ctl = b.words[0] == "exit" ? Ctl::Exit : Ctl::Return;
  b.i.cls = Class::Control;
}
void buildCall(Build& b) {
  b.take("uni");
  b.i.ctl = Ctl::Call;
  b.i.cls = Class::Control;
}
void buildTrap(Build& b) {
  b.i.fn = trap;
  b.i.cls = Class::Control;
}
void buildNanosleep(Build& b) {
  b.needType();
  b.i.fn = yield;
  b.i.ctl = Ctl::Yield;
  b.i.cls = Class::Control;
  b.want = {Build::AnyWidth};
}
// Execution is sequentially consistent, so fences have nothing to do.
void buildFence(Build& b) {
  b.ignore({"cta", "gl", "gpu", "sys", "cluster", "sc", "acq_rel", "acquire", "release", "proxy",
            "async", "alias", "generic", "mbarrier_init", "sync_restrict::shared::cta",
            "sync_restrict::shared::cluster", "global", "shared::cta", "shared::cluster"});
  b.i.fn = nothing;
  b.i.cls = Class::Control;
}
void buildPrefetch(Build& b) {
  b.ignore({"global", "local", "L1", "L2", "L2::evict_last", "L2::evict_normal"});
  b.i.fn = nothing;
  b.i.cls = Class::Other;
  b.want = {Build::Address};
}
void buildHint(Build& b) {  // pmevent, setmaxnreg, griddepcontrol, discard hints
  if (b.words[0] == "setmaxnreg") {
    b.ignore({"inc", "dec", "sync", "aligned"});
    b.needType();
    b.want = {Build::AnyWidth};
  } else {
    b.ignore({"launch_dependents", "wait"});
  }
  b.i.fn = nothing;
  b.i.cls = Class::Control;
}

void buildBarrier(Build& b) {  // bar.sync, bar.arrive, bar.red, barrier.*, bar.warp.sync
  b.i.cls = Class::Control;
  if (b.take("warp")) {
    if (!b.take("sync")) b.unsupported();
    b.i.ctl = Ctl::WarpSync;
    b.want = {4};
    return;
  }
  b.take("cta");
  b.i.aligned = b.words[0] == "bar" || b.take("aligned");
  b.i.ctl = Ctl::BlockBarrier;
  if (b.take("sync")) {
    b.want = {4, 4};
    b.optional = 1;
  } else if (b.take("arrive")) {
    b.i.sub = 1;
    b.want = {4, 4};
  } else if (b.take("red")) {
    if (b.take("popc")) {
      b.i.sub = 2;
      b.needType();
      b.want = {4, 4, Build::Flexible, Build::Predicate};
      b.optional = 1;
    } else {
      b.i.sub = b.take("and") ? 3 : b.take("or") ? 4 : 0;
      if (!b.i.sub) b.unsupported();
      b.needType();
      b.want = {Build::Predicate, 4, Build::Flexible, Build::Predicate};
      b.optional = 1;
    }
  } else {
    b.unsupported();
  }
}

}  // namespace

const OpTable& controlOps() {
  static const OpTable table = {{"bra", buildBranch},
                                {"brx", buildIndexedBranch},
                                {"ret", buildReturn},
                                {"exit", buildReturn},
                                {"call", buildCall},
                                {"trap", buildTrap},
                                {"brkpt", buildTrap},
                                {"nanosleep", buildNanosleep},
                                {"membar", buildFence},
                                {"fence", buildFence},
                                {"prefetch", buildPrefetch},
                                {"prefetchu", buildPrefetch},
                                {"applypriority", buildPrefetch},
                                {"setmaxnreg", buildHint},
                                {"griddepcontrol", buildHint},
                                {"bar", buildBarrier},
                                {"barrier", buildBarrier}};
  return table;
}

void decodeOpcode(Ins& ins, const std::string& full) {
  static const Table table;
  Build b(ins, full);
  auto it = table.all.find(b.words[0]);
  if (it == table.all.end()) b.unsupported("unknown opcode");
  it->second(b);
  b.finish();
  expected.want = b.want;
  expected.optional = b.optional;
}

Operand constantOperand(Function& f, uint64_t value, int bytes) {
  Operand o;
  o.kind = Operand::Const;
  o.bytes = static_cast<uint8_t>(bytes);
  const size_t step = static_cast<size_t>(bytes) * 32;
  char lane[16] = {};
  std::memcpy(lane, &value, std::min(bytes, 8));
  for (size_t at = 0; at + step <= f.consts.size(); at += 128)  // reuse an equal constant
    if (std::memcmp(f.consts.data() + at, lane, static_cast<size_t>(bytes)) == 0 &&
        std::memcmp(f.consts.data() + at, f.consts.data() + at + bytes,
                    step - static_cast<size_t>(bytes)) == 0) {
      o.off = static_cast<int32_t>(at);
      return o;
    }
  o.off = static_cast<int32_t>(f.consts.size());
  for (int l = 0; l < 32; ++l) f.consts.insert(f.consts.end(), lane, lane + bytes);
  return o;
}

void bindOperands(Function& f, Ins& ins, const std::string& full) {
  const auto& want = expected.want;
  const int most = static_cast<int>(want.size());
  auto bad = [&](const std::string& why) { fail("bad operands for '" + full + "': " + why); };
  if (ins.nops > most || ins.nops < most - expected.optional)
    bad(std::to_string(ins.nops) + " of them");
  // bar.red: the optional thread count sits in the middle.
  const bool red = ins.ctl == Ctl::BlockBarrier && ins.sub >= 2;
  if (ins.ctl == Ctl::BlockBarrier) ins.counted = red ? ins.nops == 4 : ins.nops == 2;
  auto bind = [&](Operand& o, int w, auto&& self) -> void {
    switch (o.kind) {
      case Operand::Vec:
        if (w != Build::Vector && w != Build::AnyOrVector) bad("a vector where none is allowed");
        for (int k = 0; k < o.count; ++k)
          self(f.vec[static_cast<size_t>(o.off + k)], Build::AnyWidth, self);
        return;
      case Operand::Imm:
        if (w == Build::Predicate) {
          o.kind = Operand::Pred;
          o.off = o.imm ? 1 : 0;
          return;
        }
        if (w == Build::Address || w == Build::Vector || w == Build::LabelOperand)
          bad("a number where none is allowed");
        {
          const int32_t pair = o.pair;
          uint64_t v = o.imm;
          if (w == 4) v &= 0xffffffffu;
          const bool four = w == 4 || (w == Build::AnyOrVector && slotBytes(ins.t) == 4);
          const Operand c = constantOperand(f, four ? v & 0xffffffffu : v, four ? 4 : 8);
          const uint64_t imm = o.imm;
          o = c;
          o.imm = imm;
          o.pair = pair;
        }
        return;
      case Operand::Pred:
        if (w != Build::Predicate && w != Build::Flexible)
          bad("a predicate where none is allowed");
        return;
      case Operand::Sink:
        if (w == Build::Predicate) {
          o.kind = Operand::Pred;
          o.off = 0;
          return;
        }
        o.kind = Operand::Reg;
        o.off = f.sink;
        o.bytes = static_cast<uint8_t>(w == 4 || w == 8 || w == 16 ? w : 8);
        return;
      case Operand::Reg:
        if (w == 4 || w == 8 || w == 16) {
          if (o.bytes != w)
            bad("register of " + std::to_string(o.bytes) + " bytes where " + std::to_string(w) +
                " are needed");
        } else if (w != Build::AnyWidth && w != Build::AnyOrVector && w != Build::Flexible) {
          bad("a register where none is allowed");
        }
        return;
      case Operand::Addr:
        if (w != Build::Address) bad("an address where none is allowed");
        return;
      case Operand::Symbol:
        if (w != Build::LabelOperand) bad("unknown symbol as an operand");
        return;
      case Operand::Clock:
        if (w != Build::AnyOrVector) bad("%clock is supported in mov only");
        return;
      default:
        bad("operand kind");
    }
  };
  for (int k = 0; k < ins.nops; ++k) {
    int w = want[static_cast<size_t>(k)];
    if (red && ins.nops == 3 && k == 2) w = Build::Predicate;
    bind(ins.o[k], w, bind);
  }
  // Parameter space: whose parameter is it?
  for (int k = 0; k < ins.nops; ++k)
    if (ins.o[k].kind == Operand::Addr && ins.space == Space::Param && ins.o[k].count)
      ins.space = Space::FrameParam;
  chooseMemoryHandler(ins);
}

}  // namespace ptxvm
