DROP TABLE containers;
DROP TABLE hosts;
