// Serves a folder over HTTP and CoAP. Try: curl -i localhost:8080/hello.txt, coap-client-notls coap://127.0.0.1/
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { serveStatic } from '@iopa/static'

const [folder = new URL('./public', import.meta.url)] = process.argv.slice(2)
const { HTTP_PORT = '8080', COAP_PORT = '5683' } = process.env

const app = new App()
  .use(serveStatic(folder))
  .use(http({ port: Number(HTTP_PORT) }))
  .use(coap({ port: Number(COAP_PORT) }))

process.once('SIGINT', () => app.close())
for (const { url } of await app.listen()) console.log(String(url))
