(ns noraft-checker
  "Jepsen's tests, checked by `harness check`: (noraft-checker/harness \"register\" \"--initial\" \"0\")."
  (:require [clojure.java.io :as io] [clojure.java.shell :refer [sh]] [jepsen.checker :as checker] [jepsen.store :as store]))

(defn harness [model & flags]
  (reify checker/Checker
    (check [_ test history opts]
      (let [file (str (store/path! test (:subdirectory opts) "noraft.edn"))]
        (with-open [out (io/writer file)]
          (binding [*out* out] (run! #(prn (into {} %)) history)))
        (let [{:keys [exit out err]} (apply sh "harness" "check" "--model" model (concat flags [file]))]
          {:valid? (get {0 true, 1 false} exit :unknown), :explanation (str out err)})))))
