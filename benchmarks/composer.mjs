// The pipeline of a real App, with a real context: what every transport runs.
import { App } from '@iopa/appbuilder'

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

export const build = (middleware, handler) => {
  const app = new App({ logger: false })
  for (const layer of [...middleware, handler]) app.use(layer)
  const run = app.build()
  const host = app.host('bench')
  return {
    run,
    context: () => host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint, source: null }),
    end: context => context.end()
  }
}
