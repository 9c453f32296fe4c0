import coap from 'coap'

export const start = ({ port, host }) =>
  new Promise(resolve => {
    const server = coap.createServer((request, response) => {
      response.code = request.method === 'PUT' ? '2.04' : '2.05'
      response.end(request.method === 'PUT' ? '' : 'Hello World')
    })
    server.listen(port, host, resolve)
  })
