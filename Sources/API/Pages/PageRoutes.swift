import Foundation
import NIOCore

/// `GET /`, `GET /p/{id}`, `GET /dashboard`, `GET /docs` and `GET /assets/{name}`: the pages, which the executable contains.
///
/// The page of a product is the same file for each product. It reads the product from the API. The file of the dashboard
/// is the same for everyone and has no data. The page reads them from the API after an operator has signed in. The build
/// made `/docs` from the OpenAPI document.
struct PageRoutes {
  private let shop: PageFile
  private let product: PageFile
  private let dashboard: PageFile
  private let docs: PageFile
  private let assets: [PageFile]

  init(settings: PageSettings) {
    shop = Self.page("shop.html")
    product = Self.page("product.html")
    dashboard = Self.page("dashboard.html")
    docs = Self.page("docs.html")
    assets =
      EmbeddedPages.assets.map { Self.file($0) } + [PageFile(name: "settings.js", text: settings.script, gzip: nil)]
  }

  var routes: [Route] {
    [
      Route(.GET, "/", callback: { [shop] request, respond in respond { shop.response(to: request.headers) } }),
      Route(
        .GET, "/p/{id}",
        callback: { [product] request, respond in respond { product.response(to: request.headers) } }),
      Route(
        .GET, "/dashboard",
        callback: { [dashboard] request, respond in respond { dashboard.response(to: request.headers) } }),
      Route(.GET, "/docs", callback: { [docs] request, respond in respond { docs.response(to: request.headers) } }),
      Route(
        .GET, "/assets/{name}",
        callback: { [assets] request, respond in
          guard let file = assets.first(where: { $0.name.isVerbatim(request.parameter) }) else {
            throw Problem.notFound("file")
          }
          respond { file.response(to: request.headers) }
        }),
    ]
  }

  private static func page(_ name: String) -> PageFile {
    guard let page = (EmbeddedPages.pages + EmbeddedPages.reference).first(where: { $0.name == name }) else {
      preconditionFailure("the build embedded no \(name)")
    }
    return file(page)
  }

  private static func file(_ embedded: (name: String, text: String, gzip: String)) -> PageFile {
    PageFile(name: embedded.name, text: embedded.text, gzip: Data(base64Encoded: embedded.gzip))
  }
}
