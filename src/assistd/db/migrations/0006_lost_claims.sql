-- What gives a job back has not died of it: those that never did are counted by themselves.
ALTER TABLE jobs ADD lost integer NOT NULL DEFAULT 0;
