DROP TABLE host_images;
