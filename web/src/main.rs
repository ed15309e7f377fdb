//! Entry point of the web app; everything is in the library, so that the gallery can show the same views.

fn main() {
    mycomesh_web::run();
}
