// SPDX-License-Identifier: MIT
// Packs virtual registers into few slots, so that a warp's register file fits the cache.
//
// nvcc's PTX names thousands of registers, each used briefly. Liveness is found by the usual
// backward data flow over basic blocks; a register then occupies its slot from the first to the
// last instruction at which it is live, and a linear scan hands out slots. Lanes are independent:
// a slot may hold different registers in different lanes.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "ptx_parser.hpp"

namespace ptxvm {
namespace {

struct Register {
  int32_t off;
  uint8_t bytes;
  bool pinned = false;  // set up at frame entry, never shared
  int first = INT32_MAX, last = -1;
  int32_t slot = -1;
  void extend(int at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

struct Allocation {
  Function& f;
  std::vector<Register> registers;
  std::unordered_map<int32_t, int> byOffset;

  int idOf(const Operand& o) {
    auto [it, fresh] = byOffset.try_emplace(o.off, static_cast<int>(registers.size()));
    if (fresh) registers.push_back({o.off, o.bytes});
    return it->second;
  }
  // Calls visit(operand) for every operand that names a register, elements of vectors included.
  template <class V>
  void each(Operand& o, V&& visit) {
    if (o.kind == Operand::Vec)
      for (int k = 0; k < o.count; ++k) each(f.vec[static_cast<size_t>(o.off + k)], visit);
    else if (o.kind == Operand::Reg || (o.kind == Operand::Addr && o.bytes))
      visit(o);
  }
  // Is the first operand written by every lane that executes this, and not read?
  static bool overwrites(const Ins& i) {
    return i.pred < 0 && (i.ctl == Ctl::Plain || (i.ctl == Ctl::WarpSync && i.fn)) &&
           (i.o[0].kind == Operand::Reg || i.o[0].kind == Operand::Vec);
  }
};

}  // namespace

void allocateRegisters(Function& f) {
  Allocation a{f, {}, {}};
  const int n = static_cast<int>(f.code.size());
  // Pinned: special registers, addresses of local variables, the sink.
  auto pin = [&](int32_t off, uint8_t bytes) {
    Operand o;
    o.off = off;
    o.bytes = bytes;
    a.registers[static_cast<size_t>(a.idOf(o))].pinned = true;
  };
  for (int32_t off : f.special)
    if (off >= 0) pin(off, 4);
  for (auto& l : f.localSymbols) pin(l.off, 8);
  pin(f.sink, 16);

  std::vector<char> leader(static_cast<size_t>(n) + 1, 0);
  leader[0] = 1;
  for (int k = 0; k < n; ++k) {
    const Ins& i = f.code[static_cast<size_t>(k)];
    if (i.ctl == Ctl::Branch)
      leader[static_cast<size_t>(i.target)] = leader[static_cast<size_t>(k) + 1] = 1;
    if (i.ctl == Ctl::BranchIndexed) {
      for (int t : f.tables[static_cast<size_t>(i.target)]) leader[static_cast<size_t>(t)] = 1;
      leader[static_cast<size_t>(k) + 1] = 1;
    }
    if (i.ctl == Ctl::Return || i.ctl == Ctl::Exit) leader[static_cast<size_t>(k) + 1] = 1;
  }
  std::vector<int> blockOf(static_cast<size_t>(n) + 1), begin;
  for (int k = 0; k < n; ++k) {
    if (leader[static_cast<size_t>(k)]) begin.push_back(k);
    blockOf[static_cast<size_t>(k)] = static_cast<int>(begin.size()) - 1;
  }
  const size_t blocks = begin.size();
  begin.push_back(n);
  for (auto& i : f.code)
    for (int k = 0; k < i.nops; ++k) a.each(i.o[k], [&](Operand& o) { a.idOf(o); });
  const size_t words = (a.registers.size() + 63) / 64;
  using Set = std::vector<uint64_t>;
  std::vector<Set> use(blocks, Set(words)), def = use, in = use, out = use;
  auto has = [](const Set& s, int r) { return s[static_cast<size_t>(r) / 64] >> (r % 64) & 1; };
  auto put = [](Set& s, int r) { s[static_cast<size_t>(r) / 64] |= 1ull << (r % 64); };
  for (size_t b = 0; b < blocks; ++b)
    for (int k = begin[b]; k < begin[b + 1]; ++k) {
      Ins& i = f.code[static_cast<size_t>(k)];
      const bool writes = Allocation::overwrites(i);
      for (int q = writes ? 1 : 0; q < i.nops; ++q)
        a.each(i.o[q], [&](Operand& o) {
          if (const int r = a.idOf(o); !has(def[b], r)) put(use[b], r);
        });
      if (writes) a.each(i.o[0], [&](Operand& o) { put(def[b], a.idOf(o)); });
    }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks; b-- > 0;) {
      Set next(words);
      auto join = [&](int target) {
        if (target >= n) return;
        const Set& s = in[static_cast<size_t>(blockOf[static_cast<size_t>(target)])];
        for (size_t w = 0; w < words; ++w) next[w] |= s[w];
      };
      const Ins& lastIns = f.code[static_cast<size_t>(begin[b + 1]) - 1];
      if (lastIns.ctl == Ctl::Branch) join(lastIns.target);
      if (lastIns.ctl == Ctl::BranchIndexed)
        for (int t : f.tables[static_cast<size_t>(lastIns.target)]) join(t);
      const bool falls =
          lastIns.pred >= 0 || (lastIns.ctl != Ctl::Branch && lastIns.ctl != Ctl::BranchIndexed &&
                                lastIns.ctl != Ctl::Return && lastIns.ctl != Ctl::Exit);
      if (falls) join(begin[b + 1]);
      out[b] = next;
      for (size_t w = 0; w < words; ++w) {
        const uint64_t v = use[b][w] | (next[w] & ~def[b][w]);
        changed |= v != in[b][w];
        in[b][w] = v;
      }
    }
  }
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t w = 0; w < words; ++w) {
      for (uint64_t m = in[b][w]; m; m &= m - 1)
        a.registers[w * 64 + static_cast<size_t>(__builtin_ctzll(m))].extend(begin[b]);
      for (uint64_t m = out[b][w]; m; m &= m - 1)
        a.registers[w * 64 + static_cast<size_t>(__builtin_ctzll(m))].extend(begin[b + 1] - 1);
    }
    for (int k = begin[b]; k < begin[b + 1]; ++k) {
      Ins& i = f.code[static_cast<size_t>(k)];
      for (int q = 0; q < i.nops; ++q)
        a.each(i.o[q], [&](Operand& o) { a.registers[static_cast<size_t>(a.idOf(o))].extend(k); });
    }
  }
  // Linear scan. A slot is free again after the last instruction of its register, so sources and
  // results of one instruction never share a slot unless they are the same register: handlers may
  // write lane by lane.
  std::vector<int> order(a.registers.size());
  for (size_t k = 0; k < order.size(); ++k) order[k] = static_cast<int>(k);
  std::sort(order.begin(), order.end(), [&](int x, int y) {
    return a.registers[static_cast<size_t>(x)].first < a.registers[static_cast<size_t>(y)].first;
  });
  std::multimap<int, std::pair<int32_t, uint8_t>> busy;  // last instruction -> slot
  std::map<uint8_t, std::vector<int32_t>> free;
  int32_t total = 0;
  int live = 0;
  for (int id : order) {
    Register& r = a.registers[static_cast<size_t>(id)];
    while (!busy.empty() && busy.begin()->first < r.first) {
      const auto [slot, bytes] = busy.begin()->second;
      free[bytes].push_back(slot);
      live -= bytes / 4;
      busy.erase(busy.begin());
    }
    auto& list = free[r.bytes];
    if (!r.pinned && !list.empty()) {
      r.slot = list.back();
      list.pop_back();
    } else {
      r.slot = total;
      total += r.bytes * 32;
    }
    if (!r.pinned && r.last >= 0) {
      busy.insert({r.last, {r.slot, r.bytes}});
      live += r.bytes / 4;
      f.liveRegisters = std::max(f.liveRegisters, live);
    }
  }
  auto move = [&](int32_t off) {
    return a.registers[static_cast<size_t>(a.byOffset.at(off))].slot;
  };
  for (auto& i : f.code)
    for (int k = 0; k < i.nops; ++k)
      if (i.o[k].kind != Operand::Vec) a.each(i.o[k], [&](Operand& o) { o.off = move(o.off); });
  for (auto& o : f.vec)
    if (o.kind == Operand::Reg)
      if (auto it = a.byOffset.find(o.off); it != a.byOffset.end())
        o.off = a.registers[static_cast<size_t>(it->second)].slot;
  for (int32_t& off : f.special)
    if (off >= 0) off = move(off);
  for (auto& l : f.localSymbols) l.off = move(l.off);
  f.sink = move(f.sink);
  f.regBytes = static_cast<size_t>(total);
}

}  // namespace ptxvm
