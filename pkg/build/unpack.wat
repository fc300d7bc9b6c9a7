;; Decodes LZMA (the LZMA SDK's lzma-specification.txt) with lc = 3, lp = 0, pb = 2, the one form that
;; embed.mjs writes. The core is embedded in this form, because it is a quarter smaller than deflated
;; and WebAssembly decodes it at full speed from its first byte on, which JavaScript does not.
;; The input is the package's own and is not judged; memory bounds hold in any case.
;;
;; Memory: probabilities of 16 bits each from 0 on, in the order of the constants below (which are
;; byte addresses); the input and the output wherever the caller says.
;;   isMatch 0 · isRep 384 · isRepG0 408 · isRepG1 432 · isRepG2 456 · isRep0Long 480
;;   distance slots 864 · distances 1376 · align 1632 · match length 1664 · repeat length 2692
;;   literals 3720 … 16008
(module
  (memory (export "memory") 1)
  (global $range (mut i32) (i32.const -1))
  (global $code (mut i32) (i32.const 0))
  (global $input (mut i32) (i32.const 0))

  ;; Takes a byte of the input into the code.
  (func $feed
    (global.set $code (i32.or
      (i32.shl (global.get $code) (i32.const 8))
      (i32.load8_u (global.get $input))))
    (global.set $input (i32.add (global.get $input) (i32.const 1))))

  (func $normalize
    (if (i32.lt_u (global.get $range) (i32.const 0x1000000))
      (then
        (global.set $range (i32.shl (global.get $range) (i32.const 8)))
        (call $feed))))

  ;; A bit whose probability is at this address.
  (func $bit (param $at i32) (result i32)
    (local $probability i32) (local $bound i32) (local $value i32)
    (local.set $probability (i32.load16_u (local.get $at)))
    (local.set $bound (i32.mul
      (i32.shr_u (global.get $range) (i32.const 11))
      (local.get $probability)))
    (if (i32.lt_u (global.get $code) (local.get $bound))
      (then
        (global.set $range (local.get $bound))
        (i32.store16 (local.get $at) (i32.add (local.get $probability)
          (i32.shr_u (i32.sub (i32.const 2048) (local.get $probability)) (i32.const 5)))))
      (else
        (global.set $range (i32.sub (global.get $range) (local.get $bound)))
        (global.set $code (i32.sub (global.get $code) (local.get $bound)))
        (i32.store16 (local.get $at) (i32.sub (local.get $probability)
          (i32.shr_u (local.get $probability) (i32.const 5))))
        (local.set $value (i32.const 1))))
    (call $normalize)
    (local.get $value))

  ;; One more bit below a symbol in a tree of probabilities.
  (func $grow (param $tree i32) (param $symbol i32) (result i32)
    (i32.or
      (i32.shl (local.get $symbol) (i32.const 1))
      (call $bit (i32.add (local.get $tree) (i32.shl (local.get $symbol) (i32.const 1))))))

  (func $tree (param $tree i32) (param $bits i32) (result i32)
    (local $symbol i32) (local $left i32)
    (local.set $symbol (i32.const 1))
    (local.set $left (local.get $bits))
    (loop $more
      (local.set $symbol (call $grow (local.get $tree) (local.get $symbol)))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.sub (local.get $symbol) (i32.shl (i32.const 1) (local.get $bits))))

  ;; The same with the lowest bit first.
  (func $reverse (param $tree i32) (param $bits i32) (result i32)
    (local $symbol i32) (local $place i32) (local $value i32)
    (local.set $symbol (i32.const 1))
    (loop $more
      (local.set $symbol (call $grow (local.get $tree) (local.get $symbol)))
      (local.set $value (i32.or (local.get $value)
        (i32.shl (i32.and (local.get $symbol) (i32.const 1)) (local.get $place))))
      (br_if $more (i32.lt_u
        (local.tee $place (i32.add (local.get $place) (i32.const 1)))
        (local.get $bits))))
    (local.get $value))

  ;; A length, without the 2 that every length has.
  (func $length (param $coder i32) (param $position i32) (result i32)
    (local.set $position (i32.shl (local.get $position) (i32.const 4)))
    (if (i32.eqz (call $bit (local.get $coder)))
      (then (return (call $tree
        (i32.add (i32.add (local.get $coder) (i32.const 4)) (local.get $position))
        (i32.const 3)))))
    (if (i32.eqz (call $bit (i32.add (local.get $coder) (i32.const 2))))
      (then (return (i32.add (i32.const 8) (call $tree
        (i32.add (i32.add (local.get $coder) (i32.const 260)) (local.get $position))
        (i32.const 3))))))
    (i32.add (i32.const 16) (call $tree
      (i32.add (local.get $coder) (i32.const 516))
      (i32.const 8))))

  ;; A literal: the byte.
  (func $literal (param $previous i32) (param $matched i32) (result i32)
    (local $tree i32) (local $symbol i32) (local $expected i32)
    (local.set $tree (i32.add (i32.const 3720)
      (i32.mul (i32.shr_u (local.get $previous) (i32.const 5)) (i32.const 1536))))
    (local.set $symbol (i32.const 1))
    ;; After a match the byte that would have followed it tells which probabilities apply.
    (if (i32.ge_s (local.get $matched) (i32.const 0))
      (then
        (loop $same
          (local.set $matched (i32.shl (local.get $matched) (i32.const 1)))
          (local.set $expected (i32.and (local.get $matched) (i32.const 256)))
          (local.set $symbol (i32.and (i32.const 511) (i32.or
            (i32.shl (local.get $symbol) (i32.const 1))
            (call $bit (i32.add (local.get $tree) (i32.shl
              (i32.add (i32.add (i32.const 256) (local.get $expected)) (local.get $symbol))
              (i32.const 1)))))))
          (br_if $same (i32.and
            (i32.lt_u (local.get $symbol) (i32.const 256))
            (i32.eq
              (i32.shr_u (local.get $expected) (i32.const 8))
              (i32.and (local.get $symbol) (i32.const 1))))))))
    (if (i32.lt_u (local.get $symbol) (i32.const 256))
      (then
        (loop $more
          (local.set $symbol (call $grow (local.get $tree) (local.get $symbol)))
          (br_if $more (i32.lt_u (local.get $symbol) (i32.const 256))))))
    (i32.and (local.get $symbol) (i32.const 255)))

  ;; A distance, without the 1 that every distance has.
  (func $distance (param $length i32) (result i32)
    (local $slot i32) (local $bits i32) (local $value i32) (local $direct i32) (local $bit i32)
    (local.set $slot (call $tree
      (i32.add (i32.const 864) (i32.shl
        (select (local.get $length) (i32.const 3) (i32.lt_u (local.get $length) (i32.const 3)))
        (i32.const 7)))
      (i32.const 6)))
    (if (i32.lt_u (local.get $slot) (i32.const 4)) (then (return (local.get $slot))))
    (local.set $bits (i32.sub (i32.shr_u (local.get $slot) (i32.const 1)) (i32.const 1)))
    (local.set $value (i32.shl
      (i32.or (i32.const 2) (i32.and (local.get $slot) (i32.const 1)))
      (local.get $bits)))
    (if (i32.lt_u (local.get $slot) (i32.const 14))
      (then (return (i32.add (local.get $value) (call $reverse
        (i32.add (i32.const 1376)
          (i32.shl (i32.sub (local.get $value) (local.get $slot)) (i32.const 1)))
        (local.get $bits))))))
    (local.set $bits (i32.sub (local.get $bits) (i32.const 4)))
    (loop $more
      (global.set $range (i32.shr_u (global.get $range) (i32.const 1)))
      (local.set $bit (i32.ge_u (global.get $code) (global.get $range)))
      (if (local.get $bit)
        (then (global.set $code (i32.sub (global.get $code) (global.get $range)))))
      (call $normalize)
      (local.set $direct (i32.or (i32.shl (local.get $direct) (i32.const 1)) (local.get $bit)))
      (br_if $more (local.tee $bits (i32.sub (local.get $bits) (i32.const 1)))))
    (i32.add (i32.add (local.get $value) (i32.shl (local.get $direct) (i32.const 4)))
      (call $reverse (i32.const 1632) (i32.const 4))))

  (func (export "unpack") (param $source i32) (param $output i32) (param $end i32)
    (local $start i32) (local $state i32) (local $position i32) (local $length i32)
    (local $rep0 i32) (local $rep1 i32) (local $rep2 i32) (local $rep3 i32) (local $chosen i32)
    ;; All probabilities start at one half.
    (loop $more
      (i32.store (local.get $start) (i32.const 0x04000400))
      (br_if $more (i32.lt_u
        (local.tee $start (i32.add (local.get $start) (i32.const 4)))
        (i32.const 16008))))
    (global.set $input (i32.add (local.get $source) (i32.const 1)))
    (call $feed) (call $feed) (call $feed) (call $feed)
    (local.set $start (local.get $output))
    (loop $next
      (if (i32.ge_u (local.get $output) (local.get $end)) (then (return)))
      (local.set $position (i32.and
        (i32.sub (local.get $output) (local.get $start)) (i32.const 3)))
      (if (i32.eqz (call $bit (i32.shl
            (i32.or (i32.shl (local.get $state) (i32.const 4)) (local.get $position))
            (i32.const 1))))
        (then
          (i32.store8 (local.get $output) (call $literal
            (if (result i32) (i32.eq (local.get $output) (local.get $start))
              (then (i32.const 0))
              (else (i32.load8_u (i32.sub (local.get $output) (i32.const 1)))))
            (if (result i32) (i32.lt_u (local.get $state) (i32.const 7))
              (then (i32.const -1))
              (else (i32.load8_u (i32.sub
                (i32.sub (local.get $output) (local.get $rep0)) (i32.const 1)))))))
          (local.set $output (i32.add (local.get $output) (i32.const 1)))
          (local.set $state (if (result i32) (i32.lt_u (local.get $state) (i32.const 4))
            (then (i32.const 0))
            (else (i32.sub (local.get $state) (select (i32.const 3) (i32.const 6)
              (i32.lt_u (local.get $state) (i32.const 10)))))))
          (br $next)))
      (if (i32.eqz (call $bit
            (i32.add (i32.const 384) (i32.shl (local.get $state) (i32.const 1)))))
        (then
          (local.set $rep3 (local.get $rep2))
          (local.set $rep2 (local.get $rep1))
          (local.set $rep1 (local.get $rep0))
          (local.set $length (call $length (i32.const 1664) (local.get $position)))
          (local.set $state (select (i32.const 7) (i32.const 10)
            (i32.lt_u (local.get $state) (i32.const 7))))
          (local.set $rep0 (call $distance (local.get $length))))
        (else
          (if (i32.eqz (call $bit
                (i32.add (i32.const 408) (i32.shl (local.get $state) (i32.const 1)))))
            (then
              (if (i32.eqz (call $bit (i32.add (i32.const 480) (i32.shl
                    (i32.or (i32.shl (local.get $state) (i32.const 4)) (local.get $position))
                    (i32.const 1)))))
                (then
                  (local.set $state (select (i32.const 9) (i32.const 11)
                    (i32.lt_u (local.get $state) (i32.const 7))))
                  (i32.store8 (local.get $output) (i32.load8_u (i32.sub
                    (i32.sub (local.get $output) (local.get $rep0)) (i32.const 1))))
                  (local.set $output (i32.add (local.get $output) (i32.const 1)))
                  (br $next))))
            (else
              (if (i32.eqz (call $bit
                    (i32.add (i32.const 432) (i32.shl (local.get $state) (i32.const 1)))))
                (then (local.set $chosen (local.get $rep1)))
                (else
                  (if (i32.eqz (call $bit
                        (i32.add (i32.const 456) (i32.shl (local.get $state) (i32.const 1)))))
                    (then (local.set $chosen (local.get $rep2)))
                    (else
                      (local.set $chosen (local.get $rep3))
                      (local.set $rep3 (local.get $rep2))))
                  (local.set $rep2 (local.get $rep1))))
              (local.set $rep1 (local.get $rep0))
              (local.set $rep0 (local.get $chosen))))
          (local.set $length (call $length (i32.const 2692) (local.get $position)))
          (local.set $state (select (i32.const 8) (i32.const 11)
            (i32.lt_u (local.get $state) (i32.const 7))))))
      (local.set $length (i32.add (local.get $length) (i32.const 2)))
      (loop $copy
        (i32.store8 (local.get $output) (i32.load8_u (i32.sub
          (i32.sub (local.get $output) (local.get $rep0)) (i32.const 1))))
        (local.set $output (i32.add (local.get $output) (i32.const 1)))
        (br_if $copy (local.tee $length (i32.sub (local.get $length) (i32.const 1)))))
      (br $next))))
