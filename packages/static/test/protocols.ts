import { App } from '@iopa/appbuilder'

/** An app that knows what transports say of their protocols, without their packages. */
export const appWithProtocols = (): App => {
  const app = new App({ logger: false })
  Object.assign(app.capabilities, {
    'urn:io.iopa:http': { schemes: ['http', 'https'], redirects: true },
    'urn:io.iopa:coap': { schemes: ['coap', 'coap+tcp'], linkLists: true },
    'urn:io.iopa:mqtt': { schemes: ['mqtt'], lastingSubscriptions: true }
  })
  return app
}
