import http from 'node:http'

export const start = ({ port, host }) =>
  new Promise(resolve => {
    const server = http.createServer((request, response) => {
      if (request.url === '/hello') {
        response.writeHead(200, { 'content-type': 'text/plain', 'content-length': 11 })
        response.end('Hello World')
      } else if (request.url.startsWith('/users/')) {
        const body = JSON.stringify({ id: request.url.slice(7) })
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
        response.end(body)
      } else {
        let text = ''
        request.setEncoding('utf8')
        request.on('data', chunk => (text += chunk))
        request.on('end', () => {
          const body = JSON.stringify(JSON.parse(text))
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
          response.end(body)
        })
      }
    })
    server.listen(port, host, resolve)
  })
