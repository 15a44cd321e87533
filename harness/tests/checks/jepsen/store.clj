;; As much of jepsen.store as a checker sees: a path below the folder of the test, whose parents are there.
(ns jepsen.store
  (:require [clojure.java.io :as io]))

(defn path! [test & args]
  (let [file (apply io/file (:store test) (map str (remove nil? (flatten args))))]
    (io/make-parents file)
    file))
