#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compresses the language model of the repository, runs it from its blocks, and prints what that
# gained and cost. For a Debian 12 machine with root, git and bash; installs what is missing.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

original=tests/data/model
compressed=build/demo/model-p4
out=build/demo/results
bin=build/demo/bin

# shellcheck disable=SC2086  # a list of words
install_missing $build_packages jq
step "Configure" cmake -S . -B build/demo -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DECCO_BUILD_TESTS=OFF -DECCO_BUILD_TOOLS=OFF -DECCO_CUDA=OFF
step "Build" cmake --build build/demo -j "$jobs"
mkdir -p "$out"

# save NAME COMMAND...: standard output of the command in a file of the results.
save() {
  local file=$out/$1
  shift
  "$@" > "$file"
}
tokens=(--tokens "$original/eval_tokens.u16")
step "Compress the model to 64-byte blocks" save compress.json "$bin/ecco" compress "$original" \
  -o "$compressed" --codec p4 --effort best --force --json
step "Verify it" save verify.json "$bin/ecco" verify "$compressed" --json
step "Compare the weights" save info.json "$bin/ecco" info "$compressed" --against "$original" \
  --json
step "Perplexity from fp16 weights" save fp16.json "$bin/ecco-llama" eval "$original" \
  "${tokens[@]}" --json
step "Perplexity from the blocks" save p4.json "$bin/ecco-llama" eval "$compressed" \
  "${tokens[@]}" --against "$original" --json
step "Speed of the kernels" save bench.json "$bin/ecco" bench --codec p4 --json
# The speed of generating stands in the log, the text in a file.
prompt="It is a truth universally acknowledged"
for model in original compressed; do
  step "Generate from the $model model" save "$model.txt" "$bin/ecco-llama" generate \
    "${!model}" --prompt "$prompt" -n 100 --seed 3
done

number() { jq -r "$2" "$out/$1.json"; }
kernel() { number bench ".results[] | select(.name == \"$1\") | .values_per_second / 1e9"; }
generated() { sed -n 's/.* \([0-9.]*\) tokens\/s$/\1/p' "build/Generate-from-the-$1-model.log"; }

row() { printf '%-42s %14s %14s   %s\n' "$@"; }
rule() { printf '%.0s-' {1..96}; echo; }
fixed() { printf "%.$1f" "$2"; }

echo
row "" "fp16" "ecco p4" ""
rule
old=$(number compress .source_bytes) new=$(number compress .stored_bytes)
row "how much smaller" "" "" ""
row "  file, bytes" "$old" "$new" "$(fixed 2 "$(number compress .ratio)") times smaller"
row "  bits per weight" "16.00" "$(fixed 2 "$(number compress .bits_per_weight)")" ""
row "  weights in memory, bytes" "$(number fp16 .weight_bytes)" "$(number p4 .weight_bytes)" ""
row "how much worse" "" "" ""
row "  error of the weights (relative RMSE)" "" "$(fixed 2 "$(number info '.rmse * 100')") %" ""
before=$(number fp16 .perplexity) after=$(number p4 .perplexity)
row "  perplexity, $(number fp16 .predictions) predictions" "$(fixed 3 "$before")" \
  "$(fixed 3 "$after")" "$(jq -n "($after / $before - 1) * 1e4 | round / 100") % more"
row "  KL divergence, nats" "" "$(fixed 4 "$(number p4 .kl_divergence)")" ""
row "how fast ($jobs threads)" "" "" ""
row "  reading a text, tokens/s" "$(fixed 0 "$(number fp16 .tokens_per_second)")" \
  "$(fixed 0 "$(number p4 .tokens_per_second)")" ""
row "  writing a text, tokens/s" "$(generated original)" "$(generated compressed)" ""
row "how fast (1 thread, data in L2, $(number bench .isa))" "" "" ""
row "  decode to f32, 10^9 weights/s" "" "$(fixed 2 "$(kernel decode_f32)")" ""
row "  product with a vector, f32" "" "$(fixed 2 "$(kernel gemv_f32)")" "10^9 weights/s"
row "  product with a vector, int8" "" "$(fixed 2 "$(kernel gemv_int8)")" "10^9 weights/s"
rule
echo "A sample of the compressed model:"
fold -s -w 96 "$out/compressed.txt"
echo
echo "Done in $((SECONDS - started)) s. The figures are in $out, the model is $compressed."
