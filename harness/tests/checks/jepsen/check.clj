;; Hands a history to the checker of docs/jepsen as Jepsen does: operations are records, and a part of an independent test has a
;; subdirectory. Arguments: the history, the subdirectory, the model and its flags. Prints :valid?, then :explanation.
(require '[clojure.edn :as edn] '[clojure.java.io :as io] '[jepsen.checker :as checker] 'noraft-checker)

(defrecord Op [index time type process f value])

(let [[file subdirectory model & flags] *command-line-args*
      maps (with-open [in (java.io.PushbackReader. (io/reader file))]
             (doall (take-while some? (repeatedly #(edn/read {:eof nil} in)))))
      found (checker/check (apply noraft-checker/harness model flags)
                           {:store "store"}
                           (map map->Op maps)
                           {:subdirectory (edn/read-string subdirectory)})]
  (prn (:valid? found))
  (println (:explanation found))
  (shutdown-agents))
