// The pipeline of a real App, with a real context: what every transport runs.
import { App, Scope } from '@iopa/appbuilder'

const LAYERS_END_HERE = { method: 'GET', path: '/', query: '', rawPath: '/', source: null }

export const build = (middleware, handler) => {
  const app = new App({ logger: false })
  for (const layer of [...middleware, handler]) app.use(layer)
  const run = app.build()
  const host = app.host('bench')
  const endpoint = {
    scheme: 'bench',
    protocol: 'BENCH/1.0',
    remoteAddress: '127.0.0.1',
    remotePort: 1,
    localAddress: '127.0.0.1',
    localPort: 2,
    tls: false,
    sessionId: 'bench',
    rawTransport: null,
    bodyLimit: 1024
  }
  return {
    run,
    context: () => host.create({ method: LAYERS_END_HERE.method, path: '/', query: '', rawPath: '/', endpoint, source: null }),
    end: context => context.end()
  }
}
