-- The images that hosts have, as their agents report them: the scheduler prefers a host with the image.
CREATE TABLE host_images (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    host TEXT NOT NULL,
    image TEXT NOT NULL,
    UNIQUE (host, image)
);
CREATE INDEX host_images_by_image ON host_images (image);
