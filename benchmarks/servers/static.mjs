// Serves a folder: the real App, serveStatic and http(), at their defaults.
import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { serveStatic } from '@iopa/static'

export const start = async ({ port, host, root }) => {
  const app = new App().use(serveStatic(root)).use(http({ port, host }))
  await app.listen()
  return { close: () => app.close() }
}
