// SPDX-License-Identifier: MIT
#include "ptx_parser.hpp"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "memory.hpp"

namespace ptxvm {
namespace {

size_t alignUp(size_t value, size_t to) { return to ? (value + to - 1) / to * to : value; }

const std::unordered_map<std::string, Type>& typeNames() {
  static const std::unordered_map<std::string, Type> names = {
      {"b8", Type::B8},         {"b16", Type::B16},       {"b32", Type::B32},
      {"b64", Type::B64},       {"b128", Type::B128},     {"u8", Type::U8},
      {"u16", Type::U16},       {"u32", Type::U32},       {"u64", Type::U64},
      {"s8", Type::S8},         {"s16", Type::S16},       {"s32", Type::S32},
      {"s64", Type::S64},       {"f16", Type::F16},       {"f16x2", Type::F16x2},
      {"bf16", Type::BF16},     {"bf16x2", Type::BF16x2}, {"tf32", Type::TF32},
      {"f32", Type::F32},       {"f64", Type::F64},       {"e4m3x2", Type::E4M3x2},
      {"e5m2x2", Type::E5M2x2}, {"u16x2", Type::U16x2},   {"s16x2", Type::S16x2},
      {"pred", Type::Pred}};
  return names;
}

const std::unordered_map<std::string, Special>& specialNames() {
  static const std::unordered_map<std::string, Special> names = {
      {"%tid.x", SpTidX},
      {"%tid.y", SpTidY},
      {"%tid.z", SpTidZ},
      {"%ntid.x", SpNtidX},
      {"%ntid.y", SpNtidY},
      {"%ntid.z", SpNtidZ},
      {"%ctaid.x", SpCtaX},
      {"%ctaid.y", SpCtaY},
      {"%ctaid.z", SpCtaZ},
      {"%nctaid.x", SpNctaX},
      {"%nctaid.y", SpNctaY},
      {"%nctaid.z", SpNctaZ},
      {"%laneid", SpLane},
      {"%warpid", SpWarp},
      {"%nwarpid", SpNwarp},
      {"%lanemask_eq", SpMaskEq},
      {"%lanemask_lt", SpMaskLt},
      {"%lanemask_le", SpMaskLe},
      {"%lanemask_gt", SpMaskGt},
      {"%lanemask_ge", SpMaskGe},
      {"%smid", SpSmid},
      {"%nsmid", SpNsmid},
      {"%gridid", SpGridId},
      {"%dynamic_smem_size", SpDynShared},
      {"%total_smem_size", SpTotalShared},
      {"%clusterid.x", SpCtaX},
      {"%clusterid.y", SpCtaY},
      {"%clusterid.z", SpCtaZ},
      {"%nclusterid.x", SpNctaX},
      {"%nclusterid.y", SpNctaY},
      {"%nclusterid.z", SpNctaZ},
      {"%cluster_ctaid.x", SpZero},
      {"%cluster_ctaid.y", SpZero},
      {"%cluster_ctaid.z", SpZero},
      {"%cluster_nctaid.x", SpClusterOne},
      {"%cluster_nctaid.y", SpClusterOne},
      {"%cluster_nctaid.z", SpClusterOne},
      {"%cluster_ctarank", SpZero},
      {"%cluster_nctarank", SpClusterOne}};
  return names;
}

class Lexer {
 public:
  explicit Lexer(const std::string& text) : s_(text) {}
  int line = 1;

  void space() {
    for (; i_ < s_.size();) {
      const char c = s_[i_];
      if (c == '\n') {
        ++line;
        ++i_;
      } else if (std::isspace(static_cast<unsigned char>(c)))
        ++i_;
      else if (c == '/' && at(1) == '/') {
        while (i_ < s_.size() && s_[i_] != '\n') ++i_;
      } else if (c == '/' && at(1) == '*') {
        i_ += 2;
        while (i_ < s_.size() && !(s_[i_] == '*' && at(1) == '/')) line += s_[i_++] == '\n';
        i_ += 2;
      } else
        break;
    }
  }
  bool end() {
    space();
    return i_ >= s_.size() || s_[i_] == 0;
  }
  char peek() {
    space();
    return i_ < s_.size() ? s_[i_] : 0;
  }
  bool eat(char c) {
    if (peek() != c) return false;
    ++i_;
    return true;
  }
  void need(char c) {
    if (!eat(c)) error(std::string("expected '") + c + "'");
  }
  [[noreturn]] void error(const std::string& what) {
    fail("PTX line " + std::to_string(line) + ": " + what + " near '" + s_.substr(i_, 40) + "'");
  }
  // A name, directive, opcode or number: letters, digits, _ $ % . and the :: inside opcodes.
  std::string word() {
    space();
    const size_t begin = i_;
    for (; i_ < s_.size(); ++i_) {
      const char c = s_[i_];
      if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' ||
          c == '.')
        continue;
      if (c == ':' && (at(1) == ':' || (i_ > begin && s_[i_ - 1] == ':'))) continue;
      break;
    }
    return s_.substr(begin, i_ - begin);
  }
  // A directive: as word(), but ".reg.b32" written without a space is two of them.
  std::string directive() {
    std::string w = word();
    if (!w.empty() && w[0] == '.') {
      const size_t dot = w.find('.', 1);
      if (dot != std::string::npos) {
        i_ -= w.size() - dot;
        w.resize(dot);
      }
    }
    return w;
  }
  std::string string() {
    need('"');
    const size_t begin = i_;
    while (i_ < s_.size() && s_[i_] != '"') ++i_;
    return s_.substr(begin, i_++ - begin);
  }
  std::string restOfLine() {
    const size_t begin = i_;
    skipLine();
    return s_.substr(begin, i_ - begin);
  }
  void skipLine() {
    while (i_ < s_.size() && s_[i_] != '\n') ++i_;
  }
  void skipPast(char c) {
    while (i_ < s_.size() && s_[i_] != c) line += s_[i_++] == '\n';
    ++i_;
  }
  size_t position() const { return i_; }
  std::string textFrom(size_t begin) const {
    std::string t = s_.substr(begin, i_ - begin), out;
    for (char c : t) {
      const bool blank = std::isspace(static_cast<unsigned char>(c));
      if (!blank)
        out += c;
      else if (!out.empty() && out.back() != ' ')
        out += ' ';
    }
    return out;
  }

 private:
  char at(size_t k) const { return i_ + k < s_.size() ? s_[i_ + k] : 0; }
  const std::string& s_;
  size_t i_ = 0;
};

bool parseNumber(const std::string& t, uint64_t& value, bool& isFloat) {
  isFloat = false;
  size_t k = 0;
  const bool negative = !t.empty() && t[0] == '-';
  if (negative) k = 1;
  if (k >= t.size() || !std::isdigit(static_cast<unsigned char>(t[k]))) return false;
  const char kind = k + 1 < t.size() && t[k] == '0' ? t[k + 1] : 0;
  if ((kind == 'f' || kind == 'F') && t.size() == k + 10) {
    value = std::strtoull(t.c_str() + k + 2, nullptr, 16) ^ (negative ? 0x80000000u : 0);
    isFloat = true;
    return true;
  }
  if ((kind == 'd' || kind == 'D') && t.size() == k + 18) {
    value = std::strtoull(t.c_str() + k + 2, nullptr, 16) ^ (negative ? 1ull << 63 : 0);
    isFloat = true;
    return true;
  }
  if (t.find('.') != std::string::npos) return false;  // decimal floats: nvcc does not write them
  value = kind == 'b' || kind == 'B' ? std::strtoull(t.c_str() + k + 2, nullptr, 2)
                                     : std::strtoull(t.c_str() + k, nullptr, 0);
  if (negative) value = 0 - value;
  return true;
}

struct Declaration {
  std::string name;
  Type type = Type::None;
  int vec = 1;
  size_t align = 0, count = 1;
  bool unsizedArray = false;
  size_t bytes() const { return unsizedArray ? 0 : count * typeBytes(type) * vec; }
  size_t alignment() const { return align ? align : static_cast<size_t>(typeBytes(type)) * vec; }
};

// The rest of a variable declaration after its state space: ".align 4 .b8 name[16]".
Declaration parseDeclaration(Lexer& lex) {
  Declaration d;
  bool pointee = false;  // after .ptr an .align tells what the pointer points to
  for (;;) {
    const std::string w = lex.directive();
    if (w.empty()) lex.error("expected a declaration");
    if (w[0] != '.') {
      d.name = w;
      break;
    }
    if (w == ".align") {
      const size_t a = std::strtoul(lex.word().c_str(), nullptr, 0);
      if (!pointee) d.align = a;
    } else if (w == ".ptr")
      pointee = true;
    else if (w == ".v2")
      d.vec = 2;
    else if (w == ".v4")
      d.vec = 4;
    else if (auto t = typeNames().find(w.substr(1)); t != typeNames().end())
      d.type = t->second;
    else if (w == ".global" || w == ".shared" || w == ".local" || w == ".const" || w == ".generic")
      continue;
    else if (w == ".attribute") {
      lex.skipPast(')');
    } else
      lex.error("unsupported word '" + w + "' in a declaration");
  }
  while (lex.eat('[')) {
    if (lex.eat(']')) {
      d.unsizedArray = true;
      continue;
    }
    d.count *= std::strtoul(lex.word().c_str(), nullptr, 0);
    lex.need(']');
  }
  if (d.type == Type::None) lex.error("declaration of " + d.name + " has no type");
  return d;
}

class ModuleParser;

class FunctionParser {
 public:
  FunctionParser(ModuleParser& parent, Lexer& lex, Module& m, Function& f);
  void body();

 private:
  struct Register {
    Operand::Kind kind;
    uint8_t bytes;
    int32_t off;
    int32_t count;
  };
  struct Scope {
    std::unordered_map<std::string, Register> registers;  // "%r" stands for %r0 ... when count > 0
    std::unordered_map<std::string, Variable> variables;
    std::unordered_map<std::string, int> labels;
    std::unordered_map<std::string, std::vector<std::string>> targets;
    int parent;
  };
  struct Fix {
    int ins;
    std::string label;
    int scope;
    bool table;
  };

  void statement();
  void location();
  void declareRegisters();
  void declareVariable(Space space);
  void instruction(std::string opcode, int pred, bool negate, size_t begin, int line);
  void call(Ins& ins);
  Operand operand();
  Operand address();
  bool findRegister(const std::string& name, Operand& out);
  const Variable* findVariable(const std::string& name);
  int32_t newSlot(int bytes);
  Operand localAddress(const Variable& v);
  void resolve();

  ModuleParser& parent_;
  Lexer& lex_;
  Module& m_;
  Function& f_;
  std::vector<Scope> scopes_;
  int scope_ = 0, depth_ = 1;
  std::vector<Fix> fixes_;
  std::unordered_map<uint64_t, int32_t> localSlots_;
  int srcFile_ = 0, srcLine_ = 0, callerFile_ = 0, callerLine_ = 0;
};

class ModuleParser {
 public:
  ModuleParser(const std::string& text, Module& m) : lex_(text), m_(m) {}
  void parse();
  Function& declare(const std::string& name);

 private:
  void global(Space space, bool external);
  void initializer(Variable& v, Type t);
  void function(bool entry);
  Lexer lex_;
  Module& m_;
  struct Pending {
    uint64_t at;
    std::string symbol;
    uint64_t offset;
    int bytes;
    bool generic;
  };
  std::vector<Pending> pending_;
};

// ----------------------------------------------------------------------------------------
// functions

FunctionParser::FunctionParser(ModuleParser& parent, Lexer& lex, Module& m, Function& f)
    : parent_(parent), lex_(lex), m_(m), f_(f) {
  scopes_.push_back({{}, {}, {}, {}, -1});
  std::fill(std::begin(f_.special), std::end(f_.special), -1);
  f_.predicates = 2;  // 0: always false, 1: always true
  f_.sink = newSlot(16);
}

int32_t FunctionParser::newSlot(int bytes) {
  const int32_t at = static_cast<int32_t>(f_.regBytes);
  f_.regBytes += static_cast<size_t>(bytes) * 32;
  return at;
}

bool FunctionParser::findRegister(const std::string& name, Operand& out) {
  size_t digits = name.size();
  while (digits > 0 && std::isdigit(static_cast<unsigned char>(name[digits - 1]))) --digits;
  const std::string prefix = name.substr(0, digits);
  const int number = digits < name.size() ? std::atoi(name.c_str() + digits) : -1;
  for (int s = scope_; s >= 0; s = scopes_[s].parent) {
    auto& regs = scopes_[s].registers;
    auto it = regs.find(name);
    int index = 0;
    if (it == regs.end() || it->second.count) {
      it = number < 0 ? regs.end() : regs.find(prefix + "<>");
      if (it == regs.end() || number >= it->second.count) continue;
      index = number;
    }
    const Register& r = it->second;
    out.kind = r.kind;
    out.bytes = r.bytes;
    out.off = r.kind == Operand::Pred ? r.off + index : r.off + index * r.bytes * 32;
    return true;
  }
  return false;
}

const Variable* FunctionParser::findVariable(const std::string& name) {
  for (int s = scope_; s >= 0; s = scopes_[s].parent) {
    auto it = scopes_[s].variables.find(name);
    if (it != scopes_[s].variables.end()) return &it->second;
  }
  for (auto& v : f_.params)
    if (v.name == name) return &v;
  for (auto& v : f_.returns)
    if (v.name == name) return &v;
  auto g = m_.globals.find(name);
  return g == m_.globals.end() ? nullptr : &g->second;
}

// The address of a .local variable depends on the frame: it lives in a register set up at frame
// entry.
Operand FunctionParser::localAddress(const Variable& v) {
  auto [it, fresh] = localSlots_.try_emplace(v.addr, 0);
  if (fresh) {
    it->second = newSlot(8);
    f_.localSymbols.push_back({it->second, v.addr});
  }
  Operand o;
  o.kind = Operand::Reg;
  o.bytes = 8;
  o.off = it->second;
  return o;
}

void FunctionParser::body() {
  while (depth_ > 0) {
    if (lex_.end()) lex_.error("function " + f_.name + " has no end");
    statement();
  }
  InsInfo info;
  info.line = lex_.line;
  info.text = "(end of function)";
  Ins ret;
  decodeOpcode(ret, "ret");
  f_.code.push_back(ret);
  f_.info.push_back(info);
  resolve();
  if (f_.entry) f_.sharedBytes = std::max(f_.sharedBytes, m_.sharedBytes);
  f_.localBytes = alignUp(f_.localBytes, 16);
  allocateRegisters(f_);
}

void FunctionParser::statement() {
  const char c = lex_.peek();
  if (c == '{') {
    lex_.eat('{');
    scopes_.push_back({{}, {}, {}, {}, scope_});
    scope_ = static_cast<int>(scopes_.size()) - 1;
    ++depth_;
    return;
  }
  if (c == '}') {
    lex_.eat('}');
    scope_ = scopes_[scope_].parent;
    --depth_;
    return;
  }
  if (lex_.eat(';')) return;
  const size_t begin = (lex_.space(), lex_.position());
  const int line = lex_.line;
  if (lex_.eat('@')) {
    const bool negate = lex_.eat('!');
    Operand p;
    const std::string name = lex_.word();
    if (!findRegister(name, p) || p.kind != Operand::Pred)
      lex_.error("guard " + name + " is not a predicate");
    return instruction(lex_.word(), p.off, negate, begin, line);
  }
  std::string w = lex_.directive();
  if (w.empty()) lex_.error("cannot parse");
  if (w == ".reg") return declareRegisters();
  if (w == ".shared") return declareVariable(Space::Shared);
  if (w == ".local") return declareVariable(Space::Local);
  if (w == ".param") return declareVariable(Space::FrameParam);
  if (w == ".loc") return location();
  if (w == ".pragma" || w == ".file") return lex_.skipPast(';');
  if (w[0] == '.') lex_.error("unsupported directive '" + w + "'");
  if (lex_.eat(':')) {  // a label, or a labelled table
    if (lex_.peek() == '.') {
      const std::string d = lex_.word();
      if (d == ".branchtargets") {
        auto& list = scopes_[scope_].targets[w];
        do list.push_back(lex_.word());
        while (lex_.eat(','));
        lex_.need(';');
        return;
      }
      if (d == ".callprototype" || d == ".calltargets") return lex_.skipPast(';');
      if (d == ".loc") {
        location();
        scopes_[scope_].labels[w] = static_cast<int>(f_.code.size());
        return;
      }
      if (d == ".pragma") {
        lex_.skipPast(';');
        scopes_[scope_].labels[w] = static_cast<int>(f_.code.size());
        return;
      }
      lex_.error("unsupported directive '" + d + "'");
    }
    scopes_[scope_].labels[w] = static_cast<int>(f_.code.size());
    return;
  }
  instruction(w, -1, false, begin, line);
}

// .loc file line column {, function_name label {+ offset}, inlined_at file line column}
void FunctionParser::location() {
  srcFile_ = std::atoi(lex_.word().c_str());
  srcLine_ = std::atoi(lex_.word().c_str());
  callerFile_ = callerLine_ = 0;
  const std::string rest = lex_.restOfLine();
  const size_t at = rest.find("inlined_at ");
  if (at != std::string::npos)
    std::sscanf(rest.c_str() + at, "inlined_at %d %d", &callerFile_, &callerLine_);
}

void FunctionParser::declareRegisters() {
  Type t = Type::None;
  std::string w = lex_.directive();
  for (; !w.empty() && w[0] == '.'; w = lex_.directive()) {
    auto it = typeNames().find(w.substr(1));
    if (it == typeNames().end()) lex_.error("unsupported register type '" + w + "'");
    t = it->second;
  }
  for (;;) {
    int count = 1;
    bool range = false;
    if (lex_.eat('<')) {
      count = std::atoi(lex_.word().c_str());
      lex_.need('>');
      range = true;
    }
    Register r;
    r.kind = t == Type::Pred ? Operand::Pred : Operand::Reg;
    r.bytes = static_cast<uint8_t>(t == Type::Pred ? 1 : std::max(4, typeBytes(t)));
    r.count = range ? count : 0;
    if (t == Type::Pred) {
      r.off = f_.predicates;
      f_.predicates += count;
    } else {
      r.off = static_cast<int32_t>(f_.regBytes);
      f_.regBytes += static_cast<size_t>(r.bytes) * 32 * count;
    }
    scopes_[scope_].registers[range ? w + "<>" : w] = r;
    if (!lex_.eat(',')) break;
    w = lex_.word();
  }
  lex_.need(';');
}

void FunctionParser::declareVariable(Space space) {
  for (;;) {
    Declaration d = parseDeclaration(lex_);
    Variable v;
    v.name = d.name;
    v.bytes = d.bytes();
    v.align = d.alignment();
    v.space = space;
    size_t* total = space == Space::Local        ? &f_.localBytes
                    : space == Space::FrameParam ? &f_.frameParamBytes
                                                 : &f_.sharedBytes;
    if (space == Space::Shared && !f_.entry) total = &m_.sharedBytes;
    if (space == Space::Shared && f_.entry)
      f_.sharedBytes = std::max(f_.sharedBytes, m_.sharedBytes);
    if (d.unsizedArray && space == Space::Shared) {
      v.addr = kDynamicBase;
      v.dynamicShared = true;
    } else {
      *total = alignUp(*total, v.align);
      v.addr = *total;
      *total += v.bytes;
    }
    if (space == Space::Shared && !f_.entry)
      for (auto& [n, g] : m_.functions)
        if (g->entry && g->defined && g->sharedBytes > v.addr)
          lex_.error(
              "a .func with .shared variables after a kernel with .shared variables is not "
              "supported");
    scopes_[scope_].variables[d.name] = v;
    if (!lex_.eat(',')) break;
  }
  lex_.need(';');
}

Operand FunctionParser::address() {
  Operand o;
  o.kind = Operand::Addr;
  bool minus = lex_.eat('-');
  std::string w = lex_.word();
  uint64_t value;
  bool isFloat;
  Operand reg;
  if (parseNumber((minus ? "-" : "") + w, value, isFloat))
    o.imm = value;
  else if (findRegister(w, reg) && reg.kind == Operand::Reg)
    o.bytes = reg.bytes, o.off = reg.off;
  else if (const Variable* v = findVariable(w)) {
    if (v->space == Space::Local) {
      reg = localAddress(*v);
      o.bytes = reg.bytes, o.off = reg.off;
    } else {
      o.imm = v->addr;
    }
    o.count = v->space == Space::FrameParam ? 1 : 0;  // tells a kernel parameter from a function's
  } else
    lex_.error("unknown symbol '" + w + "'");
  for (;;) {
    const bool plus = lex_.eat('+');
    minus = lex_.eat('-');
    if (!plus && !minus) break;
    const std::string t = (minus ? "-" : "") + lex_.word();
    if (!parseNumber(t, value, isFloat)) lex_.error("bad address offset '" + t + "'");
    o.imm += value;
  }
  lex_.need(']');
  return o;
}

Operand FunctionParser::operand() {
  if (lex_.eat('[')) return address();
  Operand o;
  if (lex_.eat('{')) {
    std::vector<Operand> elements;
    do elements.push_back(operand());
    while (lex_.eat(','));
    lex_.need('}');
    o.kind = Operand::Vec;
    o.off = static_cast<int32_t>(f_.vec.size());
    o.count = static_cast<int32_t>(elements.size());
    f_.vec.insert(f_.vec.end(), elements.begin(), elements.end());
    return o;
  }
  const bool negate = lex_.eat('!');
  const bool minus = lex_.eat('-');
  const std::string w = lex_.word();
  if (w.empty()) lex_.error("expected an operand");
  if (parseNumber((minus ? "-" : "") + w, o.imm, o.isFloat))
    o.kind = Operand::Imm;
  else if (minus)
    lex_.error("unsupported operand '-" + w + "'");
  else if (w == "_")
    o.kind = Operand::Sink;
  else if (w == "WARP_SZ")
    o.kind = Operand::Imm, o.imm = 32;
  else if (w == "%clock" || w == "%clock_hi" || w == "%clock64" || w == "%globaltimer" ||
           w == "%globaltimer_lo")
    o.kind = Operand::Clock, o.imm = w == "%clock_hi" ? 1 : 0;
  else if (auto sp = specialNames().find(w); sp != specialNames().end()) {
    int32_t& slot = f_.special[sp->second];
    if (slot < 0) slot = newSlot(4);
    o.kind = Operand::Reg, o.bytes = 4, o.off = slot;
  } else if (findRegister(w, o)) {
    o.negate = negate;
    if (negate && o.kind != Operand::Pred) lex_.error("'!' needs a predicate");
  } else if (const Variable* v = findVariable(w)) {
    if (v->space == Space::Local)
      o = localAddress(*v);
    else
      o.kind = Operand::Imm, o.imm = v->addr;
  } else if (auto fn = m_.functions.find(w); fn != m_.functions.end()) {
    o.kind = Operand::Imm, o.imm = kFunctionWindow | static_cast<uint64_t>(fn->second->index);
  } else if (w[0] == '%') {
    lex_.error("unknown register '" + w + "'");
  } else {
    o.kind = Operand::Symbol;
    o.off = static_cast<int32_t>(fixes_.size());
    fixes_.push_back({static_cast<int>(f_.code.size()), w, scope_, false});
  }
  if (lex_.eat('|')) {
    const std::string second = lex_.word();
    Operand p;
    if (second == "_")
      o.pair = -1;
    else if (findRegister(second, p) && p.kind == Operand::Pred)
      o.pair = p.off;
    else
      lex_.error("'" + second + "' is not a predicate");
  }
  return o;
}

// call (result), function, (arguments), prototype;  each result and argument names a .param
// variable.
void FunctionParser::call(Ins& ins) {
  CallSite site;
  auto list = [&](std::vector<int32_t>& off, std::vector<int32_t>& bytes) {
    if (lex_.eat(')')) return;
    do {
      const std::string name = lex_.word();
      const Variable* v = findVariable(name);
      if (!v || v->space != Space::FrameParam)
        lex_.error("call argument '" + name + "' is not a .param variable");
      off.push_back(static_cast<int32_t>(v->addr));
      bytes.push_back(static_cast<int32_t>(v->bytes));
    } while (lex_.eat(','));
    lex_.need(')');
  };
  if (lex_.eat('(')) {
    list(site.retOff, site.retBytes);
    lex_.need(',');
  }
  const std::string name = lex_.word();
  if (findRegister(name, ins.o[0]))
    ins.nops = 1;
  else
    site.callee = name, parent_.declare(name);
  if (lex_.eat(',')) {
    if (lex_.eat('(')) {
      list(site.argOff, site.argBytes);
      if (lex_.eat(',')) lex_.word();  // prototype
    } else
      lex_.word();
  }
  lex_.need(';');
  ins.target = static_cast<int32_t>(f_.calls.size());
  f_.calls.push_back(site);
  f_.makesCalls = true;
}

void FunctionParser::instruction(std::string opcode, int pred, bool negate, size_t begin,
                                 int line) {
  Ins ins;
  ins.pred = pred;
  ins.predNegate = negate;
  try {
    decodeOpcode(ins, opcode);
    if (ins.ctl == Ctl::Call) {
      call(ins);
    } else {
      if (!lex_.eat(';')) {
        do {
          if (ins.nops == 6) lex_.error("too many operands");
          const Operand o = operand();
          ins.o[ins.nops++] = o;
        } while (lex_.eat(','));
        lex_.need(';');
      }
      bindOperands(f_, ins, opcode);
    }
  } catch (Error& e) {
    const std::string what = e.what();
    if (what.rfind("PTX line", 0) == 0) throw;
    fail("PTX line " + std::to_string(line) + ", function " + f_.name + ": " + what);
  }
  InsInfo info;
  info.line = line;
  info.file = srcFile_;
  info.srcLine = srcLine_;
  info.callerFile = callerFile_;
  info.callerLine = callerLine_;
  info.text = lex_.textFrom(begin);
  f_.code.push_back(ins);
  f_.info.push_back(info);
}

void FunctionParser::resolve() {
  auto label = [&](const std::string& name, int scope) {
    for (int s = scope; s >= 0; s = scopes_[s].parent) {
      auto it = scopes_[s].labels.find(name);
      if (it != scopes_[s].labels.end()) return it->second;
    }
    fail("function " + f_.name + ": unknown label or symbol '" + name + "'");
  };
  for (const Fix& fix : fixes_) {
    Ins& ins = f_.code[fix.ins];
    if (ins.ctl == Ctl::Branch) {
      ins.target = label(fix.label, fix.scope);
    } else if (ins.ctl == Ctl::BranchIndexed) {
      std::vector<int> table;
      bool found = false;
      for (int s = fix.scope; s >= 0 && !found; s = scopes_[s].parent) {
        auto it = scopes_[s].targets.find(fix.label);
        if (it == scopes_[s].targets.end()) continue;
        for (auto& t : it->second) table.push_back(label(t, s));
        found = true;
      }
      if (!found) fail("function " + f_.name + ": no .branchtargets '" + fix.label + "'");
      ins.target = static_cast<int32_t>(f_.tables.size());
      f_.tables.push_back(table);
    } else {
      fail("function " + f_.name + ": unknown symbol '" + fix.label + "'");
    }
  }
}

// ---------------------------------------------------------------------------------------- modules

Function& ModuleParser::declare(const std::string& name) {
  auto& slot = m_.functions[name];
  if (!slot) {
    slot = std::make_unique<Function>();
    slot->name = name;
    slot->entry = false;
    slot->index = static_cast<int>(m_.byIndex.size());
    slot->builtin = name == "vprintf"        ? Builtin::Printf
                    : name == "__assertfail" ? Builtin::AssertFail
                    : name == "malloc"       ? Builtin::Malloc
                    : name == "free"         ? Builtin::Free
                                             : Builtin::None;
    m_.byIndex.push_back(slot.get());
  }
  return *slot;
}

void ModuleParser::initializer(Variable& v, Type t) {
  char* memory = reinterpret_cast<char*>(v.addr);
  const int bytes = typeBytes(t);
  size_t n = 0;
  int depth = 0;
  do {
    if (lex_.eat('{')) {
      ++depth;
      if (lex_.eat('}')) --depth;
      continue;
    }
    if (lex_.eat('}')) {
      --depth;
      lex_.eat(',');
      continue;
    }
    const bool minus = lex_.eat('-');
    std::string w = (minus ? "-" : "") + lex_.word();
    uint64_t value = 0;
    bool isFloat = false;
    if ((n + 1) * bytes > v.bytes) lex_.error("too many initial values for " + v.name);
    if (parseNumber(w, value, isFloat)) {
      if (lex_.peek() == '(') lex_.error("masked initial values are not supported");
      std::memcpy(memory + n * bytes, &value, bytes);
    } else {
      const bool generic = w == "generic";
      if (generic) {
        lex_.need('(');
        w = lex_.word();
        lex_.need(')');
      }
      uint64_t offset = 0;
      if (lex_.eat('+')) parseNumber(lex_.word(), offset, isFloat);
      pending_.push_back({v.addr + n * bytes, w, offset, bytes, generic});
    }
    ++n;
    if (depth) {
      if (!lex_.eat(',')) {
        lex_.need('}');
        --depth;
        lex_.eat(',');
      }
    }
  } while (depth > 0);
}

void ModuleParser::global(Space space, bool external) {
  const Declaration d = parseDeclaration(lex_);
  Variable v;
  v.name = d.name;
  v.bytes = d.bytes();
  v.align = d.alignment();
  v.space = space == Space::Shared ? Space::Shared : Space::Global;
  if (space == Space::Shared) {
    if (d.unsizedArray)
      v.addr = kDynamicBase, v.dynamicShared = true;
    else {
      m_.sharedBytes = alignUp(m_.sharedBytes, v.align);
      v.addr = m_.sharedBytes;
      m_.sharedBytes += v.bytes;
    }
  } else {
    if (external)
      lex_.error("external variable '" + v.name + "' (separate compilation is not supported)");
    auto memory = std::make_unique<char[]>(v.bytes + 512);
    std::memset(memory.get(), 0, v.bytes + 512);
    v.addr = (reinterpret_cast<uint64_t>(memory.get()) + 255) & ~255ull;
    registerRange(reinterpret_cast<void*>(v.addr), v.bytes, MemoryKind::Symbol);
    m_.storage.push_back(std::move(memory));
    if (lex_.eat('=')) initializer(v, d.type);
  }
  lex_.need(';');
  m_.globals[d.name] = v;
}

void ModuleParser::function(bool entry) {
  std::vector<Declaration> returns, params;
  auto list = [&](std::vector<Declaration>& out) {
    if (lex_.eat(')')) return;
    do {
      const std::string space = lex_.word();
      if (space != ".param")
        lex_.error("function parameter in '" + space + "' (only .param is supported)");
      out.push_back(parseDeclaration(lex_));
    } while (lex_.eat(','));
    lex_.need(')');
  };
  if (!entry && lex_.eat('(')) list(returns);
  Function& f = declare(lex_.word());
  f.entry = entry;
  if (lex_.eat('(')) list(params);
  bool body = false;
  for (;;) {
    if (lex_.eat(';')) break;
    if (lex_.eat('{')) {
      body = true;
      break;
    }
    const std::string w = lex_.word();
    if (w == ".maxntid" || w == ".reqntid") {
      int total = 1;
      do total *= std::atoi(lex_.word().c_str());
      while (lex_.eat(','));
      f.maxThreads = total;
    } else if (w == ".pragma") {
      lex_.skipPast(';');
    } else if (w == ".minnctapersm" || w == ".maxnreg" || w == ".maxclusterrank")
      lex_.word();
    else if (w == ".noreturn" || w == ".abi_preserve" || w == ".explicitcluster")
      continue;
    else
      lex_.error("unsupported function directive '" + w + "'");
  }
  if (!body) return;
  if (f.defined) return lex_.error("function " + f.name + " is defined twice");
  auto place = [&](const std::vector<Declaration>& from, std::vector<Variable>& to, Space space,
                   size_t& total) {
    for (auto& d : from) {
      Variable v;
      v.name = d.name;
      v.bytes = d.bytes();
      v.align = d.alignment();
      v.space = space;
      total = alignUp(total, v.align);
      v.addr = total;
      total += v.bytes;
      to.push_back(v);
    }
  };
  place(params, f.params, entry ? Space::Param : Space::FrameParam,
        entry ? f.paramBytes : f.frameParamBytes);
  place(returns, f.returns, Space::FrameParam, f.frameParamBytes);
  FunctionParser(*this, lex_, m_, f).body();
  f.defined = true;
}

void ModuleParser::parse() {
  while (!lex_.end()) {
    if (lex_.eat(';')) continue;
    std::string w = lex_.word();
    if (w.empty()) lex_.error("cannot parse");
    if (w == ".target") {
      const std::string t = lex_.word();
      m_.sm = std::atoi(t.c_str() + 3);
      lex_.skipLine();
      continue;
    }
    if (w == ".version" || w == ".address_size") {
      lex_.skipLine();
      continue;
    }
    if (w == ".file") {
      const int number = std::atoi(lex_.word().c_str());
      m_.files[number] = lex_.string();
      lex_.skipLine();
      continue;
    }
    if (w == ".section") {
      lex_.skipPast('}');
      continue;
    }
    if (w == ".pragma" || w == ".alias") {
      if (w == ".alias") lex_.error("unsupported directive '.alias'");
      lex_.skipPast(';');
      continue;
    }
    bool external = false;
    while (w == ".visible" || w == ".weak" || w == ".extern" || w == ".common") {
      external |= w == ".extern";
      w = lex_.word();
    }
    if (w == ".global")
      global(Space::Global, external);
    else if (w == ".const")
      global(Space::Const, external);
    else if (w == ".shared")
      global(Space::Shared, external);
    else if (w == ".entry")
      function(true);
    else if (w == ".func")
      function(false);
    else
      lex_.error("unsupported directive '" + w + "'");
  }
  for (auto& p : pending_) {
    uint64_t value;
    if (auto g = m_.globals.find(p.symbol); g != m_.globals.end())
      value = g->second.addr + (g->second.space == Space::Shared && p.generic ? kSharedWindow : 0);
    else if (auto fn = m_.functions.find(p.symbol); fn != m_.functions.end())
      value = kFunctionWindow | static_cast<uint64_t>(fn->second->index);
    else
      fail("initial value names unknown symbol '" + p.symbol + "'");
    value += p.offset;
    std::memcpy(reinterpret_cast<void*>(p.at), &value, p.bytes);
  }
}

}  // namespace

int typeBytes(Type t) {
  switch (t) {
    case Type::B8:
    case Type::U8:
    case Type::S8:
      return 1;
    case Type::B16:
    case Type::U16:
    case Type::S16:
    case Type::F16:
    case Type::BF16:
    case Type::E4M3x2:
    case Type::E5M2x2:
      return 2;
    case Type::B32:
    case Type::U32:
    case Type::S32:
    case Type::F32:
    case Type::TF32:
    case Type::F16x2:
    case Type::BF16x2:
    case Type::U16x2:
    case Type::S16x2:
      return 4;
    case Type::B64:
    case Type::U64:
    case Type::S64:
    case Type::F64:
      return 8;
    case Type::B128:
      return 16;
    default:
      return 0;
  }
}

const char* typeName(Type t) {
  for (auto& [name, type] : typeNames())
    if (type == t) return name.c_str();
  return "none";
}

Type typeFromName(const std::string& name) {
  auto it = typeNames().find(name);
  return it == typeNames().end() ? Type::None : it->second;
}

std::unique_ptr<Module> parsePtx(const std::string& text, const std::string& name) {
  auto m = std::make_unique<Module>();
  m->name = name;
  ModuleParser(text, *m).parse();
  return m;
}

}  // namespace ptxvm
