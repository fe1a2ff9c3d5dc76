"""URLs of the demo project. There is none at "/": that is the default Streamlit app's."""

from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path

from project.views import SignInView, SignOutView, report

admin.site.site_header = "Fernhill"
admin.site.site_title = "Fernhill"
admin.site.index_title = "Administration"

accounts = [
    path("login/", SignInView.as_view(), name="login"),
    path("logout/", SignOutView.as_view(), name="logout"),
    path("password/", auth.PasswordChangeView.as_view(), name="password_change"),
    path("password/done/", auth.PasswordChangeDoneView.as_view(), name="password_change_done"),
]

urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include(accounts)),
    path("report/", report, name="report"),
    path("api/", include("project.shop.api")),
]

handler400 = "project.views.bad_request"
handler403 = "project.views.permission_denied"
handler404 = "project.views.page_not_found"
handler500 = "project.views.server_error"
