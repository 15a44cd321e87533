;; As much of jepsen.checker as a checker sees.
(ns jepsen.checker)

(defprotocol Checker
  (check [checker test history opts]))
