// Swagger UI's own page starts it by a script within the page, which our headers forbid.
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#routes", deepLinking: true });
